"""Object lock as S3 requests speak of it: headers, who may bypass, and guards of deletions.

Source: Amazon S3 user guide, "Locking objects with Object Lock", and the API reference of PutObject.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from model.containers import Versioning, versioning_of
from model.errors import DeleteMarkerFound, NoSuchObject, NoSuchVersion
from model.names import ContainerPath
from model.retention import (
    LEGAL_HOLD,
    OBJECT_LOCK,
    RETENTION,
    Bypass,
    Hold,
    Mode,
    Retention,
    may_delete,
    pack_hold,
    pack_retention,
    unpack_hold,
    unpack_retention,
)
from proxy.dates import iso_millis, parse_iso
from proxy.http.messages import Headers
from proxy.operations.types import Container, Precondition, StoredObject
from proxy.s3.access import check_object, enter_to_read, may_also, may_know_absence
from proxy.s3.actions import BYPASS_GOVERNANCE
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, invalid_argument

MODE: Final = "x-amz-object-lock-mode"
UNTIL: Final = "x-amz-object-lock-retain-until-date"
HOLD: Final = "x-amz-object-lock-legal-hold"
BYPASS: Final = "x-amz-bypass-governance-retention"

UNTIL_MS_MAX: Final = 253_402_300_800_000
"""The year 10000: dates beyond cannot be written."""


def is_enabled(container: Container) -> bool:
    """Whether versions in a bucket can be locked."""
    return OBJECT_LOCK in container.settings


async def enter_lockable(call: Call, path: ContainerPath) -> Container:
    """Return a bucket whose versions can be locked, as it is now. Raises S3Error, NoSuchContainer."""
    container = await call.colony.container(path)
    if not is_enabled(container):
        container = await call.colony.container(path, fresh=True)
        if not is_enabled(container):
            raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    return container


def must_be_versioned(container: Container) -> None:
    """Refuse to lock versions of a bucket that keeps none. Raises S3Error InvalidBucketState."""
    if versioning_of(container.settings) is not Versioning.ENABLED:
        raise S3Error(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )


# Headers of a new version.


async def of_new(call: Call, path: ContainerPath) -> dict[str, bytes]:
    """Return the registers of the locks that headers ask for, if they ask for any. Raises S3Error."""
    headers = call.request.headers
    if not (MODE in headers or UNTIL in headers or HOLD in headers):
        return {}
    sides: dict[str, bytes] = {}
    if MODE in headers or UNTIL in headers:
        sides[RETENTION] = pack_retention(_retention(headers, call.services.now_ms()))
    if HOLD in headers:
        sides[LEGAL_HOLD] = pack_hold(_hold(headers[HOLD]))
    await enter_lockable(call, path)
    return sides


def _retention(headers: Headers, now_ms: int) -> Retention:
    if MODE not in headers or UNTIL not in headers:
        name, missing = (MODE, UNTIL) if MODE in headers else (UNTIL, MODE)
        raise invalid_argument(
            name, headers[name], f"{name} must be given together with {missing}; both are needed"
        )
    try:
        mode = Mode(headers[MODE])
    except ValueError:
        raise invalid_argument(MODE, headers[MODE], "Unknown wormMode directive.") from None
    return Retention(mode, _until(headers[UNTIL], now_ms))


def _until(text: str, now_ms: int) -> int:
    until_ms = parse_iso(text)
    if until_ms is None or until_ms >= UNTIL_MS_MAX:
        raise invalid_argument(UNTIL, text, "The retain until date must be provided in ISO 8601 format")
    if until_ms <= now_ms:
        raise invalid_argument(UNTIL, text, "The retain until date must be in the future!")
    return until_ms


def _hold(text: str) -> Hold:
    try:
        return Hold(text)
    except ValueError:
        raise invalid_argument(HOLD, text, "Legal Hold must be either of 'ON' or 'OFF'") from None


def show(stored: StoredObject) -> list[tuple[str, str]]:
    """Return the headers that tell of an object's locks."""
    shown: list[tuple[str, str]] = []
    retention = unpack_retention(stored.sides.get(RETENTION, b""))
    if retention is not None:
        shown += [(MODE, retention.mode), (UNTIL, iso_millis(retention.until_ms))]
    hold = unpack_hold(stored.sides.get(LEGAL_HOLD, b""))
    if hold is not None:
        shown.append((HOLD, hold))
    return shown


# Locks of a version that is there.


async def find_lockable(call: Call) -> StoredObject:
    """Return the version that a request about locks names, if its asker may do that. Raises S3Error."""
    path, guard = await enter_to_read(call)
    version = call.query.get("versionId")
    if version == "":
        raise invalid_argument("versionId", version, "Version id cannot be the empty string")
    try:
        stored = await call.colony.head_object(call.object(path), version=version)
    except (NoSuchObject, NoSuchVersion) as error:
        if not may_know_absence(call, guard):
            raise S3Error("AccessDenied") from error
        await enter_lockable(call, path)
        if isinstance(error, NoSuchVersion):
            raise
        if version is None or not isinstance(error, DeleteMarkerFound):
            raise S3Error("NoSuchKey", details={"Key": call.key}) from error
        raise S3Error("MethodNotAllowed") from error
    await check_object(call, guard, stored, None)
    await enter_lockable(call, path)
    return stored


async def set_lock(
    call: Call, stored: StoredObject, name: str, value: bytes, check: Callable[[StoredObject], None]
) -> None:
    """Set a lock of a version, where `check` does not raise of the locks it has then. Raises S3Error.

    What was set is looked at again: who is told that a version is locked can rely on it, also where
    it was deleted, or locked for longer, at the same moment.
    """

    def replaceable(found: StoredObject | None) -> None:
        if found is None or found.stamp != stored.stamp:
            raise S3Error("NoSuchVersion")
        check(found)

    path, version = stored.path, stored.version_id
    await call.colony.set_side(path, name, value, version=version, precondition=replaceable)
    after = await call.colony.head_object(path, version=version)
    if after.sides.get(name, b"") != value:
        check(after)


# Deletions.


async def read_bypass(call: Call, path: ContainerPath, key: str) -> Bypass:
    """Return whether the request passes over GOVERNANCE: it must say so, and its asker must be allowed to."""
    if call.request.headers.get(BYPASS).strip().lower() != "true":
        return Bypass.NO
    allowed = await may_also(call, path, BYPASS_GOVERNANCE, key=key)
    return Bypass.GOVERNANCE if allowed else Bypass.NO


async def guard_deletion(call: Call, container: Container, key: str) -> Precondition | None:
    """Return what must hold of a version that a request deletes for good; None where none can be locked.

    `container` is the bucket as it is now: what a process remembers may be older than its first lock.
    """
    if not is_enabled(container):
        return None
    bypass = await read_bypass(call, container.path, key)

    def unlocked(stored: StoredObject | None) -> None:
        if stored is not None and not may_delete(stored.sides, call.services.now_ms(), bypass):
            raise S3Error("AccessDenied", "Access Denied because object protected by object lock.")

    return unlocked


def both(first: Precondition | None, second: Precondition | None) -> Precondition | None:
    """Return the precondition that holds where both do."""
    if first is None or second is None:
        return first or second
    held = (first, second)

    def check(stored: StoredObject | None) -> None:
        for one in held:
            one(stored)

    return check
