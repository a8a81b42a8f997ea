"""Object lock: which versions may go, which locks may be loosened, and which of two locks outlasts. Pure.

A version is locked by its retention (side register `retention`: a mode and a moment), by its legal hold
(side register `legal-hold`), or both. A bucket's register `set:object-lock` says that its versions can be
locked at all, and what a new version gets where its writer asks for nothing.

Source: Amazon S3 user guide, "Locking objects with Object Lock".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

import msgpack

from model.errors import CorruptRecord
from model.stamp import Stamp, stamp_ms

LEGAL_HOLD: Final = "legal-hold"
RETENTION: Final = "retention"
LOCKS: Final = (RETENTION, LEGAL_HOLD)
"""The side registers that hold a version."""
OBJECT_LOCK: Final = "set:object-lock"
"""Register of a container whose versions can be locked; never removed once it is set."""

FORMAT_VERSION: Final = 1
DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 36_500
YEARS_MAX: Final = 100
_YEAR_DAYS: Final = 365


class Mode(StrEnum):
    """How firmly a retention holds."""

    GOVERNANCE = "GOVERNANCE"
    """Who is allowed to bypass it may shorten it, remove it, and delete the version."""
    COMPLIANCE = "COMPLIANCE"
    """Nobody may, whoever it is, until its time has passed."""


class Hold(StrEnum):
    """Whether a legal hold is on a version."""

    ON = "ON"
    OFF = "OFF"


class Bypass(Enum):
    """Whether who asks may, and wants to, pass over GOVERNANCE."""

    NO = "no"
    GOVERNANCE = "governance"


@dataclass(frozen=True, slots=True)
class Retention:
    """A retention: it holds until `until_ms`, milliseconds since the epoch."""

    mode: Mode
    until_ms: int

    def holds(self, now_ms: int) -> bool:
        """Whether its time has not passed yet."""
        return now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class LockRule:
    """What `set:object-lock` says: the retention of new versions, in days or in years; no mode for none."""

    mode: Mode | None = None
    days: int = 0
    years: int = 0

    def retention(self, now_ms: int) -> Retention | None:
        """Return the retention of a version that is made now, or None where there is no default."""
        if self.mode is None:
            return None
        return Retention(self.mode, now_ms + (self.days + self.years * _YEAR_DAYS) * DAY_MS)


# Registers.


def pack_retention(retention: Retention | None) -> bytes:
    """Return the register of a retention; none is an empty, hence removed, register."""
    if retention is None:
        return b""
    return _pack((FORMAT_VERSION, retention.mode, retention.until_ms))


def unpack_retention(packed: bytes) -> Retention | None:
    """Return the retention of a register, None of an empty one. Raises CorruptRecord."""
    if not packed:
        return None
    mode, until_ms = _unpack(packed, 3)
    try:
        return Retention(Mode(mode), int(until_ms))
    except (ValueError, TypeError) as error:
        raise CorruptRecord(f"retention cannot be decoded: {error}") from error


def pack_hold(hold: Hold) -> bytes:
    """Return the register of a legal hold."""
    return hold.encode()


def unpack_hold(packed: bytes) -> Hold | None:
    """Return the legal hold of a register, None where it was never set. Raises CorruptRecord."""
    if not packed:
        return None
    try:
        return Hold(packed.decode())
    except ValueError as error:
        raise CorruptRecord(f"legal hold cannot be decoded: {error}") from error


def pack_rule(rule: LockRule) -> bytes:
    """Return the register of a bucket's object lock."""
    return _pack((FORMAT_VERSION, rule.mode or "", rule.days, rule.years))


def unpack_rule(packed: bytes) -> LockRule | None:
    """Return what a bucket's register says, None where object lock is not enabled. Raises CorruptRecord."""
    if not packed:
        return None
    mode, days, years = _unpack(packed, 4)
    try:
        return LockRule(Mode(mode) if mode else None, int(days), int(years))
    except (ValueError, TypeError) as error:
        raise CorruptRecord(f"object lock cannot be decoded: {error}") from error


# Decisions.


def may_delete(sides: Mapping[str, bytes], now_ms: int, bypass: Bypass = Bypass.NO) -> bool:
    """Say whether a version with these side registers may be deleted for good. Raises CorruptRecord."""
    if not sides:
        return True
    if unpack_hold(sides.get(LEGAL_HOLD, b"")) is Hold.ON:
        return False
    retention = unpack_retention(sides.get(RETENTION, b""))
    if retention is None or not retention.holds(now_ms):
        return True
    return retention.mode is Mode.GOVERNANCE and bypass is Bypass.GOVERNANCE


def may_replace(
    held: Retention | None, wanted: Retention | None, now_ms: int, bypass: Bypass = Bypass.NO
) -> bool:
    """Say whether one retention may take the place of another (None removes it).

    A retention in force may be lengthened in its mode; anything else needs a bypass, which COMPLIANCE
    never allows.
    """
    if held is None or not held.holds(now_ms):
        return True
    if wanted is not None and wanted.mode is held.mode and wanted.until_ms >= held.until_ms:
        return True
    return held.mode is Mode.GOVERNANCE and bypass is Bypass.GOVERNANCE


def outlasts(held: tuple[Stamp, bytes], newer: tuple[Stamp, bytes]) -> bool:
    """Say whether a held retention register stays although another one has a newer stamp.

    A COMPLIANCE retention that was in force when the newer one was written yields only to COMPLIANCE
    that holds as long. So two replicas that took two retentions in different orders agree, and what was
    promised first is kept. Together with the order of stamps this is a total order of registers: merges by it
    stay commutative and associative.
    """
    retention = _retention_or_none(held[1])
    if retention is None or retention.mode is not Mode.COMPLIANCE or not retention.holds(stamp_ms(newer[0])):
        return False
    wanted = _retention_or_none(newer[1])
    longer = wanted is not None and wanted.until_ms >= retention.until_ms
    return not (longer and wanted is not None and wanted.mode is Mode.COMPLIANCE)


def _retention_or_none(packed: bytes) -> Retention | None:
    """Return a retention, None too where it cannot be decoded: a merge must not fail."""
    try:
        return unpack_retention(packed)
    except CorruptRecord:
        return None


def _pack(fields: tuple[object, ...]) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def _unpack(packed: bytes, count: int) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed)
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"a lock cannot be decoded: {error}") from error
    if not isinstance(fields, list) or len(fields) != count or fields[0] != FORMAT_VERSION:
        raise CorruptRecord("a lock is of an unknown form")
    return fields[1:]
