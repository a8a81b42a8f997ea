"""Laying buffers out for a write past the page cache: whole pages, at addresses a disk can read from. Pure.

Payloads that came in memory of whole pages go out of it uncopied; all else passes through a buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kit.pages import address_of, paged_memory
from objectd.disk.records import PAGE_BYTES, Buffer

_UNCOPIED_BYTES_MIN: Final = 64 << 10


def split(buffers: Sequence[Buffer], head_bytes: int) -> tuple[list[Buffer], list[Buffer]]:
    """Return the first `head_bytes` bytes of buffers, and those behind them."""
    head: list[Buffer] = []
    rest: list[Buffer] = []
    for buffer in buffers:
        cut = min(head_bytes, len(buffer))
        head_bytes -= cut
        if cut:
            head.append(memoryview(buffer)[:cut])
        if cut < len(buffer):
            rest.append(memoryview(buffer)[cut:] if cut else buffer)
    return head, rest


def whole_pages(buffers: Sequence[Buffer]) -> list[memoryview]:
    """Return the same bytes as buffers that all begin and end at a page, of the file and of memory.

    The first begins at a page of the file, and the bytes of all are whole pages.
    """
    pieces: list[tuple[memoryview, int]] = []
    at = copied_bytes = 0
    for buffer in buffers:
        view = memoryview(buffer)
        uncopied = len(view) & -PAGE_BYTES if len(view) >= _UNCOPIED_BYTES_MIN else 0
        if at % PAGE_BYTES or (uncopied and address_of(view) % PAGE_BYTES):
            uncopied = 0
        pieces.append((view, uncopied))
        at += len(view)
        copied_bytes += len(view) - uncopied
    copied = paged_memory(copied_bytes)
    laid: list[memoryview] = []
    start = end = 0
    for view, uncopied in pieces:
        if uncopied:
            if end > start:
                laid.append(copied[start:end])
            laid.append(view[:uncopied])
            start = end
        rest = len(view) - uncopied
        copied[end : end + rest] = view[uncopied:]
        end += rest
    if end > start:
        laid.append(copied[start:end])
    return laid
