"""What the listings of objects share: their parameters, and rows as XML."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from model.listing import Listed, Page, Query, unpack_listed
from model.names import ContainerPath, decode_name
from model.objects import OF_PARTS, STORAGE_CLASS, SUM
from model.usual_rows import CUTS, is_usual
from proxy.auth.query import encode
from proxy.dates import iso_second
from proxy.s3 import xml_write
from proxy.s3.call import Call
from proxy.s3.errors import invalid_argument
from proxy.s3.names import check_listing_name

Show = Callable[[str], str]

_PLAIN_ROW: Final = "<StorageClass>STANDARD</StorageClass>"
_HYBRIDS_A_SECOND: Final = 1000 << 16
_MILLIS: Final = tuple(f"{number:03}Z" for number in range(1000))
_PLAIN_NAMES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters that all listings of objects have. `show` encodes a name for the answer."""

    prefix: bytes
    delimiter: bytes
    keys_max: int
    show: Show
    encoding: str


def read_wanted(call: Call, *, size_name: str = "max-keys") -> Wanted:
    """Return the parameters of a listing. Raises S3Error InvalidArgument."""
    query = call.query
    encoding = query.get("encoding-type", "")
    if encoding not in ("", "url"):
        raise invalid_argument("encoding-type", encoding, "Invalid Encoding Method specified in Request")
    if query.get("allow-unordered") == "true" and query.get("delimiter"):
        # Ceph's extension: listings are in order here whatever it says, but its bounds are kept.
        raise invalid_argument("allow-unordered", "true", "A listing without order has no delimiter")
    page_max = call.settings.page_keys_max
    return Wanted(
        check_listing_name("prefix", query.get("prefix", "")),
        check_listing_name("delimiter", query.get("delimiter", "")),
        call.number(size_name, page_max, limit=page_max),
        partial(encode, safe="/") if encoding else xml_write.escape,
        encoding,
    )


async def fetch_page(call: Call, path: ContainerPath, wanted: Wanted, marker: bytes) -> Page:
    """Return one page of a bucket. Raises NoSuchContainer."""
    if wanted.keys_max == 0:
        await call.colony.container(path, fresh=True)
        return Page((), False)
    query = Query(prefix=wanted.prefix, delimiter=wanted.delimiter, marker=marker, limit=wanted.keys_max)
    page = await call.colony.list_objects(path, query)
    # An empty page is also what a bucket that has just gone gives; one with keys proves that it lives.
    await call.colony.container(path, fresh=not page.items)
    return page


def rows(page: Page, show: Show, *, more: str = "") -> tuple[str, str]:
    """Return the Contents and the CommonPrefixes of a page; `more` goes into each Contents.

    The usual row is cut out of its bytes: 1,000 of them pass here on each page.
    """
    # Names as nearly all are: nothing to encode or to escape in any of them.
    plain = not b"".join([name for name, _ in page.items]).translate(None, _PLAIN_NAMES)
    contents, prefixes = [], []
    seconds = _Seconds()
    ends: dict[bytes, str] = {}
    last_head: bytes | None = None
    last_tail: bytes | None = None
    end = ""
    for name, row in page.items:
        hybrid, size, head, md5, tail = CUTS[len(row)](row)
        if tail == last_tail and head == last_head:
            etag = md5.decode()
        elif not row:
            prefixes.append(show(decode_name(name)))
            continue
        elif is_usual(head, tail):
            last_head, last_tail, etag = head, tail, md5.decode()
            end = ends.get(tail) or ends.setdefault(tail, more + _described(unpack_listed((b"", row))))
        else:
            listed = unpack_listed((name, row))
            hybrid, size, etag = int.from_bytes(listed.stamp[:8], "big"), listed.size, listed.etag
            last_tail, end = None, more + _described(listed)
        second, millis = seconds[hybrid // _HYBRIDS_A_SECOND], _MILLIS[(hybrid >> 16) % 1000]
        contents.append(
            f"<Contents><Key>{name.decode() if plain else show(decode_name(name))}</Key>"
            f"<LastModified>{second}{millis}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>{end}</Contents>"
        )
    return "".join(contents), xml_write.common_prefixes(prefixes)


class _Seconds(dict[int, str]):
    """By the second, how a moment within it begins."""

    def __missing__(self, moment_s: int) -> str:
        text = self[moment_s] = f"{iso_second(moment_s)}."
        return text


def _described(row: Listed) -> str:
    return describe_row(row) if row.extra else _PLAIN_ROW


def describe_row(row: Listed) -> str:
    """Return the elements of a listing that tell the checksum's algorithm and the storage class."""
    inner = ""
    name = row.extra.get(SUM)
    if name is not None:
        kind = "COMPOSITE" if name.endswith(OF_PARTS) else "FULL_OBJECT"
        inner = (
            f"<ChecksumAlgorithm>{name.removesuffix(OF_PARTS)}</ChecksumAlgorithm>"
            f"<ChecksumType>{kind}</ChecksumType>"
        )
    return inner + xml_write.tag("StorageClass", row.extra.get(STORAGE_CLASS, "STANDARD"))


def head(call: Call, wanted: Wanted) -> str:
    """Return the elements that begin every listing: name, prefix, delimiter, encoding."""
    inner = f"<Name>{xml_write.escape(call.bucket)}</Name>" + named(
        "Prefix", call.query.get("prefix", ""), wanted
    )
    if wanted.delimiter:
        inner += named("Delimiter", call.query["delimiter"], wanted)
    if wanted.encoding:
        inner += "<EncodingType>url</EncodingType>"
    return inner


def named(element: str, text: str, wanted: Wanted) -> str:
    """Return an element that holds a name, encoded as the listing wants names."""
    return f"<{element}>{wanted.show(text)}</{element}>"


def make_token(marker: bytes) -> str:
    """Return an opaque continuation token, with its version in front."""
    return urlsafe_b64encode(b"\x01" + marker).rstrip(b"=").decode()


def read_token(token: str) -> bytes:
    """Return the marker of a continuation token. Raises S3Error InvalidArgument."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raw = b""
    if raw[:1] != b"\x01":
        raise invalid_argument("continuation-token", token, "The continuation token provided is incorrect")
    return raw[1:]
