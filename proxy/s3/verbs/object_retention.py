"""GetObjectRetention and PutObjectRetention."""

from __future__ import annotations

from typing import Final

from model.retention import RETENTION, Mode, Retention, may_replace, pack_retention, unpack_retention
from proxy.dates import iso_millis, parse_iso
from proxy.http.messages import Response
from proxy.operations.types import StoredObject
from proxy.s3 import xml_read, xml_write
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.locks import UNTIL_MS_MAX, find_lockable, read_bypass, set_lock
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024


async def get_object_retention(call: Call) -> Response:
    """Show until when a version is retained, and how firmly."""
    stored = await find_lockable(call)
    retention = unpack_retention(stored.sides.get(RETENTION, b""))
    if retention is None:
        raise S3Error("NoSuchObjectLockConfiguration")
    inner = xml_write.tag("Mode", retention.mode) + xml_write.tag(
        "RetainUntilDate", iso_millis(retention.until_ms)
    )
    return xml(xml_write.root("Retention", inner))


async def put_object_retention(call: Call) -> Response:
    """Retain a version; a retention in force is lengthened by anyone, loosened by few or nobody."""
    stored = await find_lockable(call)
    wanted = read_retention(await read_whole(call, _BODY_BYTES_MAX), call.services.now_ms())
    bypass = await read_bypass(call, stored.path.parent, call.key)

    def replaceable(found: StoredObject) -> None:
        held = unpack_retention(found.sides.get(RETENTION, b""))
        if not may_replace(held, wanted, call.services.now_ms(), bypass):
            raise S3Error("AccessDenied", "Access Denied because object protected by object lock.")

    await set_lock(call, stored, RETENTION, pack_retention(wanted), replaceable)
    return empty(200)


def read_retention(body: bytes, now_ms: int) -> Retention | None:
    """Return the retention of a document, None of an empty one, which removes it. Raises S3Error."""
    document = xml_read.parse(body, "Retention")
    fields = document.fields()
    if not fields:
        return None
    if fields.keys() != {"Mode", "RetainUntilDate"}:
        raise S3Error("MalformedXML")
    try:
        mode = Mode(fields["Mode"].strip())
    except ValueError:
        raise S3Error("MalformedXML") from None
    until_ms = parse_iso(fields["RetainUntilDate"])
    if until_ms is None or until_ms >= UNTIL_MS_MAX:
        raise S3Error("MalformedXML")
    if until_ms <= now_ms:
        raise S3Error("InvalidArgument", "The retain until date must be in the future!")
    return Retention(mode, until_ms)
