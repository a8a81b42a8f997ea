"""GetObjectLockConfiguration and PutObjectLockConfiguration."""

from __future__ import annotations

from typing import Final

from model.containers import Versioning
from model.retention import DAYS_MAX, OBJECT_LOCK, YEARS_MAX, LockRule, Mode, pack_rule, unpack_rule
from proxy.http.messages import Response
from proxy.s3 import xml_read, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.locks import must_be_versioned
from proxy.s3.upload import read_whole
from proxy.s3.xml_read import Node

_BODY_BYTES_MAX: Final = 64 * 1024


async def get_object_lock_configuration(call: Call) -> Response:
    """Say that versions of the bucket can be locked, and how new ones are by default."""
    container = await call.colony.container(await enter_as_owner(call), fresh=True)
    rule = unpack_rule(container.settings.get(OBJECT_LOCK, b""))
    if rule is None:
        raise S3Error("ObjectLockConfigurationNotFoundError", details={"BucketName": call.bucket})
    inner = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    if rule.mode is not None:
        period = xml_write.tag("Days", rule.days) if rule.days else xml_write.tag("Years", rule.years)
        inner += (
            f"<Rule><DefaultRetention>{xml_write.tag('Mode', rule.mode)}{period}</DefaultRetention></Rule>"
        )
    return xml(xml_write.root("ObjectLockConfiguration", inner))


async def put_object_lock_configuration(call: Call) -> Response:
    """Let versions of a bucket be locked, for good, and set how new ones are by default."""
    path = await enter_as_owner(call)
    rule = read_rule(await read_whole(call, _BODY_BYTES_MAX))
    must_be_versioned(await call.colony.container(path, fresh=True))
    await call.colony.set_container(path, {OBJECT_LOCK: pack_rule(rule)})
    container = await call.colony.container(path, fresh=True)
    if container.versioning is not Versioning.ENABLED:
        # Suspended at the same moment: whoever did that may have looked before the locks were there.
        await call.colony.set_versioning(path, Versioning.ENABLED)
    return empty(200)


def read_rule(body: bytes) -> LockRule:
    """Return what a configuration says of new versions. Raises S3Error."""
    document = xml_read.parse(body, "ObjectLockConfiguration")
    if document.value("ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    rule = document.child("Rule")
    if rule is None:
        return LockRule()
    default = rule.child("DefaultRetention")
    if default is None:
        raise S3Error("MalformedXML")
    try:
        mode = Mode(default.value("Mode"))
    except ValueError:
        raise S3Error("MalformedXML") from None
    days, years = default.child("Days"), default.child("Years")
    if (days is None) == (years is None):
        raise S3Error("MalformedXML")
    return LockRule(mode, days=_period(days, "days", DAYS_MAX), years=_period(years, "years", YEARS_MAX))


def _period(node: Node | None, unit: str, most: int) -> int:
    if node is None:
        return 0
    text = node.text.strip()
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 11):
        raise S3Error("MalformedXML")
    period = int(text)
    if period < 1:
        raise S3Error("InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
    if period > most:
        raise S3Error("InvalidRetentionPeriod", f"Default retention period must be at most {most} {unit}.")
    return period
