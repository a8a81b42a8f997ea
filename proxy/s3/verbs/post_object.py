"""PostObject: an object from a browser's form, signed by its policy, or anonymous."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

from model.errors import BadRequest
from proxy.auth.post_policy import LengthRange, check_policy, parse_policy
from proxy.auth.post_signature import FormClaim, check_form_signature, read_form_claim
from proxy.auth.query import encode
from proxy.auth.sigv4 import mechanism_refused
from proxy.http.messages import BodyStream, Buffer, Headers, Request, Response
from proxy.identity.users import User
from proxy.operations.types import StoredObject
from proxy.s3 import tags, xml_write
from proxy.s3.access import enter
from proxy.s3.acl import Permission
from proxy.s3.call import Call, VersionTwo, empty
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.names import check_key
from proxy.s3.post_form import FormParser, malformed, read_boundary
from proxy.s3.upload import read_unframed
from proxy.s3.verbs.put_object import show_written, store

_FILENAME: Final = "${filename}"
_OF_REQUEST: Final = ("host", "referer", "user-agent", "origin")
"""Headers of the request itself that still count; all others come from the form."""
_CONTENT: Final = frozenset(
    (
        *("content-type", "content-disposition", "content-encoding", "content-language", "content-md5"),
        *("cache-control", "expires"),
    )
)
_OF_SIGNATURE: Final = frozenset(
    (
        *("x-amz-signature", "x-amz-credential", "x-amz-algorithm", "x-amz-date", "x-amz-security-token"),
        *("x-amz-content-sha256", "x-amz-trailer", "x-amz-tagging", "x-amz-acl"),
    )
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUSES: Final = {"200": 200, "201": 201, "204": 204}


@dataclass(frozen=True, slots=True)
class _Form:
    """A form whose file is about to be read: what came before it, and where the rest comes from."""

    parser: FormParser
    spans: Sequence[memoryview]
    source: AsyncIterator[Buffer]


class FormFile(BodyStream):
    """The file of a form, held to the lengths that the policy and the settings allow."""

    def __init__(self, form: _Form, lengths: LengthRange) -> None:
        self._form = form
        self._lengths = lengths
        self._seen_bytes = 0

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the file; the form is checked to its end before the iteration ends. Raises S3Error."""
        form = self._form
        for span in form.spans:
            yield self._counted(span)
        async for data in form.source:
            for span in form.parser.feed(data):
                yield self._counted(span)
        form.parser.finish()
        if self._seen_bytes < self._lengths.bytes_min:
            raise S3Error(
                "EntityTooSmall",
                details={
                    "ProposedSize": str(self._seen_bytes),
                    "MinSizeAllowed": str(self._lengths.bytes_min),
                },
            )

    async def read(self, bytes_max: int) -> Buffer:
        """Return the whole file. Raises BadRequest where it is longer than `bytes_max`."""
        whole = bytearray()
        async for span in self.chunks():
            whole += span
            if len(whole) > bytes_max:
                raise BadRequest(f"the file is longer than {bytes_max} bytes")
        return whole

    def _counted(self, span: memoryview) -> memoryview:
        self._seen_bytes += len(span)
        if self._seen_bytes > self._lengths.bytes_max:
            raise S3Error("EntityTooLarge", details={"MaxSizeAllowed": str(self._lengths.bytes_max)})
        return span


async def post_object(call: Call) -> Response:
    """Store the file of a form under the key that the form names."""
    boundary = read_boundary(call.request.headers.get("content-type"))
    if call.user is not None:
        raise S3Error("InvalidArgument", "Only one auth mechanism allowed; a form carries its own signature")
    form = await _open(call, boundary)
    fields = form.parser.fields
    if not fields.get("key"):
        raise S3Error(
            "InvalidArgument",
            "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the "
            "fields.",
            details={"ArgumentName": "key"},
        )
    fields["key"] = check_key(fields["key"].replace(_FILENAME, form.parser.filename))
    fields["bucket"] = call.bucket
    user, lengths = await _authenticate(call, fields)
    form_call = replace(call, request=_as_put(call.request, fields), key=fields["key"], user=user)
    path = await enter(form_call, Permission.WRITE)
    stored = await store(form_call, path, read_unframed(form_call, FormFile(form, lengths)))
    return _answer(form_call, fields, stored)


async def _open(call: Call, boundary: bytes) -> _Form:
    parser = FormParser(boundary)
    source = call.request.body.chunks()
    async for data in source:
        spans = parser.feed(data)
        if parser.at_file:
            return _Form(parser, spans, source)
    raise malformed()


async def _authenticate(call: Call, fields: Mapping[str, str]) -> tuple[User | None, LengthRange]:
    """Return who signed the form (None for nobody), and how long its file may be."""
    settings = call.settings
    lengths = LengthRange(0, settings.put_bytes_max)
    claim = read_form_claim(fields)
    if claim is None:
        return None, lengths
    user = await _check_signature(call, claim)
    call.request.user = user.id
    policy = parse_policy(claim.policy)
    check_policy(policy, fields, call.services.now_ms())
    if policy.lengths is not None:
        lengths = LengthRange(policy.lengths.bytes_min, min(policy.lengths.bytes_max, lengths.bytes_max))
    return user, lengths


async def _check_signature(call: Call, claim: FormClaim) -> User:
    settings = call.settings
    if claim.scope is None:
        if settings.version2 is VersionTwo.REFUSED:
            raise mechanism_refused()
    elif settings.regions and claim.scope.region not in settings.regions:
        raise invalid_argument(
            "x-amz-credential",
            claim.scope.region,
            "Error parsing the X-Amz-Credential field; the region is wrong; expecting "
            f"'{settings.regions[0]}'",
        )
    key = await call.services.directory.key(claim.access_key_id)
    if key is None:
        raise S3Error("InvalidAccessKeyId", details={"AWSAccessKeyId": claim.access_key_id})
    check_form_signature(claim, key.secret)
    return key.user


def _as_put(request: Request, fields: Mapping[str, str]) -> Request:
    """Return a request whose headers are what the form's fields mean, as a PUT would send them."""
    headers = [(name, request.headers[name]) for name in _OF_REQUEST if name in request.headers]
    for name, value in fields.items():
        if name == "acl":
            headers.append(("x-amz-acl", _clean(name, value)))
        elif name == "tagging":
            given = tags.from_xml(value.encode("utf-8", "surrogateescape"))
            headers.append(("x-amz-tagging", urlencode(given)))
        elif name in _CONTENT or (name.startswith("x-amz-") and name not in _OF_SIGNATURE):
            headers.append((name, _clean(name, value)))
    return replace(request, headers=Headers(headers))


def _clean(name: str, value: str) -> str:
    """Return a field as a header's value. Raises S3Error where it can be none."""
    if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
        raise invalid_argument(name, value, "The field cannot be represented as a header")
    return value.strip(" \t")


def _answer(call: Call, fields: Mapping[str, str], stored: StoredObject) -> Response:
    host = call.request.headers.get("host")
    scheme = "https" if call.request.secure else "http"
    location = f"{scheme}://{host}/{call.bucket}/{encode(call.key, safe='/')}"
    shown = [*show_written(call, stored), ("Location", location)]
    etag = f'"{stored.record.etag}"'
    target = _redirect(fields.get("success_action_redirect") or fields.get("redirect", ""))
    if target is not None:
        said = urlencode({"bucket": call.bucket, "key": call.key, "etag": etag}, errors="surrogateescape")
        query = f"{target.query}&{said}" if target.query else said
        shown[-1] = ("Location", urlunsplit(target._replace(query=query)))
        return empty(303, shown)
    status = _STATUSES.get(fields.get("success_action_status", ""), 204)
    if status != 201:
        return empty(status, shown)
    inner = (
        xml_write.tag("Location", location)
        + xml_write.tag("Bucket", call.bucket)
        + xml_write.tag("Key", call.key)
        + xml_write.tag("ETag", etag)
    )
    body = xml_write.document(f"<PostResponse>{inner}</PostResponse>")
    return Response(201, [("Content-Type", "application/xml"), *shown], body)


def _redirect(url: str) -> SplitResult | None:
    """Return where the browser is to go, or None where the form names no place a browser could go to."""
    if not url or _CONTROL.search(url) or " " in url:
        return None
    try:
        target = urlsplit(url)
    except ValueError:
        return None
    return target if target.scheme in ("http", "https") and target.netloc else None
