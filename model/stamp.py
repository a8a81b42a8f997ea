"""Stamps: the total order of all writes in a federation, as 16 sortable bytes. Pure.

A stamp is a hybrid logical clock reading (48 bits of milliseconds since the epoch, 16 bits of
logical counter) followed by the 64-bit id of the process that wrote it. Stamps are compared as
plain bytes, so the order on disk, on the wire and in memory is one and the same.

Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots", 2014.
"""

from __future__ import annotations

import base64
import struct
from typing import Final, NewType

Stamp = NewType("Stamp", bytes)

STAMP_BYTES: Final = 16
ZERO: Final = Stamp(bytes(STAMP_BYTES))

_COUNTER_BITS: Final = 16
_COUNTER_MAX: Final = (1 << _COUNTER_BITS) - 1
_LAYOUT: Final = struct.Struct(">QQ")


def make_stamp(logical_ms: int, counter: int, writer_id: int) -> Stamp:
    """Return the stamp of a logical time in milliseconds, a counter below 65,536 and a 64-bit writer."""
    return Stamp(_LAYOUT.pack(logical_ms << _COUNTER_BITS | counter, writer_id))


def stamp_ms(stamp: Stamp) -> int:
    """Return the milliseconds since the epoch that a stamp carries."""
    return int.from_bytes(stamp[:6], "big")


def stamp_micros(stamp: Stamp) -> int:
    """Return microseconds since the epoch, strictly increasing with the stamp of one millisecond.

    The logical counter (below 65,536) is scaled into the thousand microseconds of its millisecond;
    two stamps of a millisecond that differ by less than 66 counts may share a microsecond.
    """
    hybrid = int.from_bytes(stamp[:8], "big")
    return (hybrid >> _COUNTER_BITS) * 1000 + ((hybrid & _COUNTER_MAX) * 1000 >> _COUNTER_BITS)


def next_stamp(last: Stamp, now_ms: int, writer_id: int) -> Stamp:
    """Return the first stamp after `last` that is not before `now_ms`."""
    hybrid = max(int.from_bytes(last[:8], "big") + 1, now_ms << _COUNTER_BITS)
    return Stamp(_LAYOUT.pack(hybrid, writer_id))


def just_after(stamp: Stamp) -> Stamp:
    """Return the stamp of what must be newer than one write and older than all that come after it."""
    return Stamp((int.from_bytes(stamp, "big") + 1).to_bytes(STAMP_BYTES, "big"))


def version_id(stamp: Stamp) -> str:
    """Return the stamp as an opaque version id: 22 characters of unpadded URL-safe base64."""
    return base64.urlsafe_b64encode(stamp).rstrip(b"=").decode()


def parse_version_id(text: str) -> Stamp | None:
    """Return the stamp of a version id, or None where the text is not one."""
    if len(text) != 22:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "==")
    except ValueError:
        return None
    stamp = Stamp(raw)
    return stamp if version_id(stamp) == text else None
