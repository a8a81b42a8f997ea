"""What a container with object lock gives each new version whose writer asks for no retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from model.names import HIDDEN, ContainerPath, ObjectPath
from model.retention import RETENTION, LockRule, pack_retention

DefaultLock = Callable[[ContainerPath], Awaitable[LockRule | None]]


async def locked_sides(
    default_lock: DefaultLock | None, path: ObjectPath, sides: Mapping[str, bytes], now_ms: int
) -> Mapping[str, bytes]:
    """Return the side registers of a new version, with the retention that its container gives by default."""
    if default_lock is None or RETENTION in sides or path.container.startswith(HIDDEN):
        return sides
    rule = await default_lock(path.parent)
    retention = None if rule is None else rule.retention(now_ms)
    return sides if retention is None else {**sides, RETENTION: pack_retention(retention)}
