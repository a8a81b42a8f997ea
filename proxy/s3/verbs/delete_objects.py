"""DeleteObjects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from model.errors import ColonnadeError
from model.names import NULL_VERSION
from proxy.http.messages import Response
from proxy.operations.types import Container
from proxy.s3 import xml_read, xml_write
from proxy.s3.access import enter_to_delete
from proxy.s3.call import Call, xml
from proxy.s3.conditional import delete_precondition
from proxy.s3.errors import S3Error, to_s3
from proxy.s3.locks import both, guard_deletion
from proxy.s3.names import check_key
from proxy.s3.upload import read_whole, require_digest

KEYS_MAX: Final = 1000
_BODY_BYTES_MAX: Final = 8 << 20
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class _Wanted:
    key: str
    version: str
    etag: str
    size: str
    modified: str


async def delete_objects(call: Call) -> Response:
    """Delete up to 1,000 keys, and say of each what became of it."""
    path, allows = await enter_to_delete(call)
    require_digest(call.request.headers)
    document = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "Delete")
    wanted = [_read(node) for node in document.children("Object")]
    if not 1 <= len(wanted) <= KEYS_MAX:
        raise S3Error("MalformedXML")
    # A lock may have been set, through another proxy, since this one last looked.
    container = await call.colony.container(path, fresh=any(item.version for item in wanted))
    quiet = document.value("Quiet").lower() == "true"
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _Wanted) -> str:
        async with gate:
            if not allows(item.key, item.version):
                return _refused(item, S3Error("AccessDenied"))
            return await _delete(call, container, item, quiet)

    results = await asyncio.gather(*map(one, wanted))
    return xml(xml_write.root("DeleteResult", "".join(results)))


async def _delete(call: Call, container: Container, item: _Wanted, quiet: bool) -> str:
    try:
        check_key(item.key)
        precondition = delete_precondition(etag=item.etag, size=item.size, modified=item.modified)
        if item.version:
            precondition = both(precondition, await guard_deletion(call, container, item.key))
        deleted = await call.colony.delete_object(
            container.path.object(item.key), version=item.version or None, precondition=precondition
        )
    except ColonnadeError as error:
        return _refused(item, to_s3(error))
    if quiet:
        return ""
    inner = xml_write.tag("Key", item.key)
    if item.version:
        inner += xml_write.tag("VersionId", item.version)
    if deleted.is_marker:
        # That of the marker made, or of the marker that was removed.
        inner += "<DeleteMarker>true</DeleteMarker>"
        inner += xml_write.tag("DeleteMarkerVersionId", deleted.version_id or NULL_VERSION)
    return f"<Deleted>{inner}</Deleted>"


def _refused(item: _Wanted, error: S3Error) -> str:
    version = xml_write.tag("VersionId", item.version) if item.version else ""
    return (
        f"<Error>{xml_write.tag('Key', item.key)}{version}"
        f"<Code>{error.code}</Code>{xml_write.tag('Message', error.message)}</Error>"
    )


def _read(node: xml_read.Node) -> _Wanted:
    fields = node.fields()
    key = fields.get("Key", "")
    if not key:
        raise S3Error("MalformedXML")
    return _Wanted(
        key,
        fields.get("VersionId", ""),
        fields.get("ETag", ""),
        fields.get("Size", ""),
        fields.get("LastModifiedTime", ""),
    )
