"""Memory for what is received or read: not cleared first, and at a page where a disk is to take it. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

PAGE_BYTES: Final = 4096
_UNCLEARED_BYTES_MIN: Final = 32 << 10


def address_of(buffer: bytes | bytearray | memoryview) -> int:
    """Return the address of the first byte of a buffer that is not empty."""
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


def fresh_memory(size: int) -> memoryview:
    """Return `size` writable bytes; many are not cleared, which would cost as much as filling them."""
    if size < _UNCLEARED_BYTES_MIN:
        return memoryview(bytearray(size))
    return np.empty(size, np.uint8).data


def paged_memory(size: int, *, page_at: int = 0) -> memoryview:
    """Return `size` writable bytes, not cleared, of which the one at `page_at` is the first of a page."""
    raw = np.empty(size + PAGE_BYTES, np.uint8)
    address: int = raw.__array_interface__["data"][0]
    start = -(address + page_at) % PAGE_BYTES
    return raw.data[start : start + size]
