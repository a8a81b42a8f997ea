"""The ring a node has adopted: its epoch, and the file that keeps it across restarts.

The file `ring.state` is one header (big-endian: magic, u8 format, u8 phase, u64 bytes of the ring
file, XXH3-128 of phase and ring file) and the ring file itself, written whole and durably before
anybody is told of the new epoch: a node that has answered "adopted" never comes back with less.

What a ring file says is read by a `check` that the application root supplies, so this module knows
no ring.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import xxhash

from model.errors import BadRequest, Conflict, CorruptRecord
from objectd.contract import Phase, RingReply, epoch_of
from ring.loader import write_durably

STATE_FILE: Final = "ring.state"
FORMAT: Final = 1
STATE_MODE: Final = 0o640
_MAGIC: Final = b"COLRSTAT"
_HEADER: Final = struct.Struct(">8sBBxxxxxxQ16s")


class RingFacts(NamedTuple):
    """What matters of a ring file: its version, and a digest that tells two rings of a version apart."""

    version: int
    digest: bytes


Check = Callable[[bytes], RingFacts]
"""Returns what a ring file says; raises ColonnadeError where it is damaged or not to be trusted."""


class RingState:
    """The adopted ring of one node. `epoch` is 0 while there is none."""

    def __init__(
        self, folder: str | Path, check: Check, on_adopted: Callable[[int], None] | None = None
    ) -> None:
        """Load what the folder keeps. Raises CorruptRecord where that is damaged."""
        self._path = Path(folder) / STATE_FILE
        self._check = check
        self._on_adopted = on_adopted
        self._lock = asyncio.Lock()
        self._facts: RingFacts | None = None
        self.epoch = 0
        self.ring: RingReply | None = None
        if self._path.exists():
            phase, data = _unpack_state(self._path)
            facts = check(data)
            self._take(facts, RingReply(facts.version, phase, data))

    async def adopt(self, data: bytes, phase: Phase) -> int:
        """Adopt a ring file at a phase, durably, and return the epoch the node is at.

        What is not newer changes nothing. Raises Conflict where the node holds another ring of the
        same version, and what `check` raises.
        """
        async with self._lock:
            facts = self._check(data)
            held = self._facts
            if held is not None and held.version == facts.version and held.digest != facts.digest:
                raise Conflict(
                    f"the node holds another ring of version {facts.version} "
                    f"({held.digest.hex()[:32]}, not {facts.digest.hex()[:32]})"
                )
            if epoch_of(facts.version, phase) <= self.epoch:
                return self.epoch
            await asyncio.to_thread(_write_state, self._path, phase, data)
            self._take(facts, RingReply(facts.version, phase, data))
        if self._on_adopted is not None:
            self._on_adopted(self.epoch)
        return self.epoch

    def _take(self, facts: RingFacts, ring: RingReply) -> None:
        self._facts = facts
        self.ring = ring
        self.epoch = ring.epoch


def check_phase(number: int) -> Phase:
    """Return the phase of a number from the wire. Raises BadRequest."""
    try:
        return Phase(number)
    except ValueError as error:
        raise BadRequest(f"there is no ring phase {number}") from error


def _seal(phase: int, data: bytes) -> bytes:
    state = xxhash.xxh3_128(bytes((phase,)))
    state.update(data)
    return state.digest()


def _write_state(path: Path, phase: Phase, data: bytes) -> None:
    header = _HEADER.pack(_MAGIC, FORMAT, phase, len(data), _seal(phase, data))
    write_durably(path, header + data, STATE_MODE)


def _unpack_state(path: Path) -> tuple[Phase, bytes]:
    raw = path.read_bytes()
    mend = "remove it, and the node takes the ring from its peers again"
    if len(raw) < _HEADER.size:
        raise CorruptRecord(f"{path}: cut short; {mend}")
    magic, form, phase, size, seal = _HEADER.unpack_from(raw)
    data = raw[_HEADER.size :]
    if magic != _MAGIC or form != FORMAT:
        raise CorruptRecord(f"{path}: no ring state of format {FORMAT}; {mend}")
    if len(data) != size or _seal(phase, data) != seal:
        raise CorruptRecord(f"{path}: its bytes fail their checksum; {mend}")
    return Phase(phase), data
