"""An object's record as headers of a response, and the headers of a request as a new object's. Pure."""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes
from typing import Final

from model.objects import Manifest, ObjectRecord
from model.stamp import Stamp, stamp_micros, stamp_ms
from proxy.dates import decimal_seconds, http_date, whole_seconds_up
from proxy.http.messages import Headers
from proxy.swift.errors import refused_plainly
from proxy.swift.metadata import STORED_HEADERS, header_name
from proxy.swift.parameters import is_true

HeaderItems = list[tuple[str, str]]
DEFAULT_TYPE: Final = "application/octet-stream"
# The types built into Python, not those of the host's files: all nodes must guess alike.
_TYPES: Final = MimeTypes(filenames=())
_SHOWN: Final = frozenset(STORED_HEADERS)


def last_modified_s(modified: Stamp) -> int:
    """Return the second that Swift shows as Last-Modified: the first that is not before the change."""
    return whole_seconds_up(stamp_ms(modified))


def describe_object(record: ObjectRecord, modified: Stamp, *, etag: str) -> HeaderItems:
    """Return the response headers of an object's GET or HEAD; `etag` is as shown, quoted or not."""
    items = [
        ("Content-Type", record.content_type),
        ("Etag", etag),
        ("Last-Modified", http_date(last_modified_s(modified))),
        ("X-Timestamp", decimal_seconds(stamp_micros(modified))),
        ("Accept-Ranges", "bytes"),
    ]
    for name, value in record.headers.items():
        if name in _SHOWN:
            items.append((header_name("", name), value))
    for name, value in record.user.items():
        items.append((header_name("X-Object-Meta-", name), value))
    if record.delete_at:
        items.append(("X-Delete-At", str(record.delete_at)))
    if record.manifest is Manifest.STATIC:
        items.append(("X-Static-Large-Object", "True"))
    return items


def stored_headers(headers: Headers) -> dict[str, str]:
    """Return the headers of a request that are stored with its object. Raises Refused."""
    found = {name: headers[name] for name in STORED_HEADERS if headers.get(name)}
    manifest = found.get("x-object-manifest")
    if manifest is not None:
        container, slash, prefix = manifest.partition("/")
        if not (container and slash and prefix) or "?" in manifest or "&" in manifest or prefix[0] == "/":
            raise refused_plainly(400, "X-Object-Manifest must be in the format container/prefix")
    return found


def requested_type(headers: Headers, name: str) -> str:
    """Return the content type of a new object, guessed where asked or absent. Raises Refused."""
    content_type = headers.get("content-type")
    if not content_type or is_true(headers.get("x-detect-content-type")):
        return _guessed_type(name)
    return check_type(content_type)


def check_type(content_type: str) -> str:
    """Return a content type that may be stored. Raises Refused."""
    try:
        content_type.encode()
    except UnicodeEncodeError as error:
        raise refused_plainly(400, "Invalid Content-Type") from error
    if ";" in content_type:
        for option in content_type.split(";")[1:]:
            if option.lstrip().lower().startswith("swift_"):
                raise refused_plainly(400, "Invalid Content-Type, swift_* is not a valid parameter name.")
    return content_type


def stated_etag(headers: Headers) -> str:
    """Return the MD5 that a PUT claims for its body, lower case and without quotes, or an empty text."""
    return headers.get("etag").strip().strip('"').lower()


@lru_cache(maxsize=1024)
def _guessed_type(name: str) -> str:
    return _TYPES.guess_type(name.rpartition("/")[2])[0] or DEFAULT_TYPE
