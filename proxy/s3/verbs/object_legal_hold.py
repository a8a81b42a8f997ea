"""GetObjectLegalHold and PutObjectLegalHold."""

from __future__ import annotations

from typing import Final

from model.retention import LEGAL_HOLD, Hold, pack_hold, unpack_hold
from proxy.http.messages import Response
from proxy.s3 import xml_read, xml_write
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.locks import find_lockable, set_lock
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024


async def get_object_legal_hold(call: Call) -> Response:
    """Say whether a legal hold is on a version."""
    stored = await find_lockable(call)
    hold = unpack_hold(stored.sides.get(LEGAL_HOLD, b""))
    if hold is None:
        raise S3Error("NoSuchObjectLockConfiguration")
    return xml(xml_write.root("LegalHold", xml_write.tag("Status", hold)))


async def put_object_legal_hold(call: Call) -> Response:
    """Put a legal hold on a version, or take it off."""
    stored = await find_lockable(call)
    document = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "LegalHold")
    try:
        hold = Hold(document.value("Status"))
    except ValueError:
        raise S3Error("MalformedXML") from None
    await set_lock(call, stored, LEGAL_HOLD, pack_hold(hold), lambda found: None)
    return empty(200)
