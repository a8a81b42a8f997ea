"""Headers that tell what lifecycle rules will do: x-amz-expiration, x-amz-abort-date, x-amz-abort-rule-id."""

from __future__ import annotations

from model.lifecycle import LIFECYCLE, Rules, Version, What, abort_of, expiry_of, unpack_rules
from model.names import ContainerPath
from model.objects import TAGS
from proxy.auth.query import encode
from proxy.dates import http_date
from proxy.operations.types import StoredObject
from proxy.s3 import tags
from proxy.s3.call import Call


async def show_expiration(call: Call, stored: StoredObject) -> list[tuple[str, str]]:
    """Return the header that tells when the current version of a key expires, if it does."""
    if "versionId" in call.query:
        return []
    rules = await _rules(call, stored.path.parent)
    if rules is None:
        return []
    held = tags.unpack(stored.sides.get(TAGS, b""))
    version = Version(stored.stamp, What.DATA, stored.record.size, held)
    found = expiry_of(rules, stored.path.name, version)
    if found is None:
        return []
    rule_id, at_ms = found
    shown = f'expiry-date="{http_date(at_ms // 1000)}", rule-id="{encode(rule_id)}"'
    return [("x-amz-expiration", shown)]


async def show_abort(call: Call, path: ContainerPath, begun_ms: int) -> list[tuple[str, str]]:
    """Return the headers that tell when an upload that began at a moment is aborted, if it is."""
    rules = await _rules(call, path)
    found = None if rules is None else abort_of(rules, call.key, begun_ms)
    if found is None:
        return []
    rule_id, at_ms = found
    return [("x-amz-abort-date", http_date(at_ms // 1000)), ("x-amz-abort-rule-id", encode(rule_id))]


async def _rules(call: Call, path: ContainerPath) -> Rules | None:
    container = await call.colony.container(path)
    packed = container.settings.get(LIFECYCLE)
    return unpack_rules(packed) if packed else None
