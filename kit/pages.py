"""Memory that begins at a page: a disk can take what was received into it past the page cache. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

PAGE_BYTES: Final = 4096


def address_of(buffer: bytes | bytearray | memoryview) -> int:
    """Return the address of the first byte of a buffer that is not empty."""
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


def paged_memory(size: int, *, page_at: int = 0) -> memoryview:
    """Return `size` writable bytes, not cleared, of which the one at `page_at` is the first of a page."""
    raw = np.empty(size + PAGE_BYTES, np.uint8)
    address: int = raw.__array_interface__["data"][0]
    start = -(address + page_at) % PAGE_BYTES
    return raw.data[start : start + size]
