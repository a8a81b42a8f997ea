"""A short-lived cache of what was loaded by name, which bounds how old an answer can be.

Within `fresh_ms` an answer is given at once; up to `stale_ms` it is still given, while one task
loads it anew; after that the caller waits. Absences are never kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from kit.clock import monotonic_ms

Value = TypeVar("Value")

_ENTRIES_MAX: Final = 10_000


class FreshCache(Generic[Value]):
    """Answers by name through `load`, at most `stale_ms` old, one load at a time for each name."""

    def __init__(
        self,
        load: Callable[[str], Awaitable[Value | None]],
        *,
        fresh_ms: int = 1000,
        stale_ms: int = 1900,
        entries_max: int = _ENTRIES_MAX,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._load = load
        self._fresh_ms = fresh_ms
        self._stale_ms = stale_ms
        self._entries_max = entries_max
        self._now_ms = now_ms
        self._held: dict[str, tuple[int, Value]] = {}
        self._loading: dict[str, asyncio.Task[Value | None]] = {}

    async def get(self, name: str) -> Value | None:
        """Return what is stored under a name, or None."""
        held = self._held.get(name)
        if held is not None:
            age_ms = self._now_ms() - held[0]
            if age_ms < self._fresh_ms:
                return held[1]
            if age_ms < self._stale_ms:
                _ = self._start(name)
                return held[1]
        # Shielded: others may wait for the same load when this caller is cancelled.
        return await asyncio.shield(self._start(name))

    def forget(self, name: str) -> None:
        """Drop what is held under a name, also what is being loaded."""
        self._held.pop(name, None)
        self._loading.pop(name, None)

    def _start(self, name: str) -> asyncio.Task[Value | None]:
        task = self._loading.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._refresh(name))
            task.add_done_callback(_note_failure)
            self._loading[name] = task
        return task

    async def _refresh(self, name: str) -> Value | None:
        # The age counts from before the load, so that an answer is never older than it claims.
        began_ms = self._now_ms()
        me = asyncio.current_task()
        try:
            value = await self._load(name)
            if self._loading.get(name) is me:
                self._keep(name, began_ms, value)
            return value
        finally:
            if self._loading.get(name) is me:
                del self._loading[name]

    def _keep(self, name: str, began_ms: int, value: Value | None) -> None:
        self._held.pop(name, None)
        if value is None:
            return
        if len(self._held) >= self._entries_max:
            del self._held[next(iter(self._held))]
        self._held[name] = (began_ms, value)


def _note_failure(task: asyncio.Task[Value | None]) -> None:
    # A refresh in the background may fail unseen: the next caller past `stale_ms` meets the error.
    if not task.cancelled():
        task.exception()
