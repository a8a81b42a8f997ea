"""Whether somebody may read what a static large object of Swift is made of.

Its bytes are those of other objects, in other containers maybe: who reads it reads them. As through Swift,
manifests within manifests of an account's own administrator are judged one level deep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from model.containers import POLICY
from model.errors import Absent
from model.names import ContainerPath, ObjectPath
from model.objects import Manifest, Part
from proxy.operations.types import Container, StoredObject
from proxy.s3.access import Deed, check_object, owns_bucket
from proxy.s3.acl import Permission
from proxy.s3.actions import GET_OBJECT
from proxy.s3.call import Call
from proxy.s3.errors import S3Error
from proxy.s3.facts import more_of_version

_AT_ONCE: Final = 16
_DEPTH_MAX: Final = 10


async def check_segments(call: Call, stored: StoredObject, *, depth: int = 1) -> None:
    """Let on who may read each segment of an object, where it has any. Raises S3Error AccessDenied."""
    if stored.record.manifest is not Manifest.STATIC:
        return
    if depth > _DEPTH_MAX:
        raise S3Error("AccessDenied")
    by_container: dict[ContainerPath, dict[str, Part]] = {}
    for part in stored.record.parts:
        if not part.inline:
            by_container.setdefault(ContainerPath(part.account, part.container), {})[part.name] = part
    for path, parts in by_container.items():
        try:
            container = await call.colony.container(path)
        except Absent:
            raise S3Error("AccessDenied") from None
        if POLICY not in container.settings and owns_bucket(call, container):
            continue
        names = list(parts)
        for start in range(0, len(names), _AT_ONCE):
            await _check(call, container, names[start : start + _AT_ONCE], depth=depth)


async def _check(call: Call, container: Container, names: Sequence[str], *, depth: int) -> None:
    async def one(name: str) -> None:
        path = ObjectPath(container.path.account, container.path.container, name)
        try:
            segment = await call.colony.head_object(path)
        except Absent:
            raise S3Error("AccessDenied") from None
        deeds = [Deed(GET_OBJECT, name, more=more_of_version(None))]
        await check_object(call, container, segment, Permission.READ, deeds=deeds)
        await check_segments(call, segment, depth=depth + 1)

    await asyncio.gather(*map(one, names))
