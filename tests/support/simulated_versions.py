"""Clients that make, mark and remove versions in a simulated colony, and what must come of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from model.errors import ColonnadeError, DeleteMarkerFound, NoSuchObject, NoSuchVersion
from model.listing import Query, Shape
from proxy.operations.types import HeldBody, ListedVersion, NewObject, VersionQuery
from tests.support.simulated_clients import CONTAINER
from tests.support.simulated_colony import Proxy, SimulatedColony


@dataclass(slots=True)
class Known:
    """What is sure of one name: versions that must be there with their bodies, and those that must not.

    A version is in neither where the end of its removal is unknown.
    """

    bodies: dict[str, bytes] = field(default_factory=dict)
    markers: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)


class VersionClients:
    """Writers of a few names, each version of which is looked for in the end."""

    def __init__(self, colony: SimulatedColony, names: int = 3) -> None:
        self.colony = colony
        self.known = {f"key-{index}": Known() for index in range(names)}
        self.done = 0
        self.failed = 0
        self._bodies = itertools.count()

    async def put(self, proxy: Proxy, name: str) -> None:
        """Make a version."""
        body = b"v%d" % next(self._bodies)
        stored = await proxy.colony.put_object(CONTAINER.object(name), NewObject(), HeldBody(body))
        self.known[name].bodies[stored.version_id] = body

    async def mark(self, proxy: Proxy, name: str) -> None:
        """Delete the name by a marker."""
        deletion = await proxy.colony.delete_object(CONTAINER.object(name))
        assert deletion.is_marker
        assert deletion.version_id is not None
        self.known[name].markers.add(deletion.version_id)

    async def remove(self, proxy: Proxy, name: str) -> None:
        """Remove one version, or one marker, for good."""
        known = self.known[name]
        there = [*known.bodies, *sorted(known.markers)]
        if not there:
            return
        version = self.colony.rng.choice(there)
        known.bodies.pop(version, None)
        known.markers.discard(version)
        await proxy.colony.delete_object(CONTAINER.object(name), version=version)
        known.removed.add(version)

    async def work(self, count: int) -> None:
        """Send requests one after the other, through whatever proxy is there; some are given up."""
        rng = self.colony.rng
        for _ in range(count):
            await asyncio.sleep(rng.uniform(0, 0.05))
            proxy = rng.choice(self.colony.proxies)
            act = rng.choice([self.put, self.put, self.put, self.mark, self.remove, self.remove])
            task = proxy.run(self._tried(act(proxy, rng.choice(list(self.known)))))
            if self.colony.shape.kill_proxies and rng.random() < 0.05:
                asyncio.get_running_loop().call_later(rng.uniform(0, 0.02), task.cancel)
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _tried(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
            self.done += 1
        except ColonnadeError as error:
            self.failed += 1
            self.colony.note(f"failed: {error!r}")

    async def check(self) -> None:
        """Raise AssertionError where any proxy tells other than what is sure."""
        for proxy in list(self.colony.proxies):
            listed = await self._listed(proxy)
            for name, known in self.known.items():
                of_name = [one for one in listed if one.row.name == name]
                self._check_list(name, known, of_name)
                for version, body in known.bodies.items():
                    opened = await proxy.colony.open_object(CONTAINER.object(name), version=version)
                    assert opened.data == body, f"version {version} of {name} has other bytes"
                for version in known.removed:
                    await self._check_absent(proxy, name, version)
                await self._check_current(proxy, name, of_name)

    async def _listed(self, proxy: Proxy) -> list[ListedVersion]:
        """Return all versions, in small pages."""
        found: list[ListedVersion] = []
        query = VersionQuery(limit=3)
        while True:
            page = await proxy.colony.list_versions(CONTAINER, query)
            found += [item for item in page.items if not isinstance(item, str)]
            if not page.truncated:
                return found
            query = VersionQuery(key_marker=page.next_key, version_marker=page.next_version, limit=3)

    def _check_list(self, name: str, known: Known, listed: list[ListedVersion]) -> None:
        ids = [one.version_id for one in listed]
        assert len(set(ids)) == len(ids), f"{name} lists a version twice"
        assert [one.stamp for one in listed] == sorted((one.stamp for one in listed), reverse=True)
        assert [one.is_latest for one in listed] == [at == 0 for at in range(len(listed))]
        lost = (known.bodies.keys() | known.markers) - set(ids)
        assert not lost, f"{name} does not list {lost}"
        back = known.removed & set(ids)
        assert not back, f"{name} lists {back} again"
        for one in listed:
            if one.version_id in known.bodies:
                assert not one.is_marker
            if one.version_id in known.markers:
                assert one.is_marker

    async def _check_absent(self, proxy: Proxy, name: str, version: str) -> None:
        try:
            await proxy.colony.head_object(CONTAINER.object(name), version=version)
        except NoSuchVersion:
            return
        raise AssertionError(f"version {version} of {name} has come back")

    async def _check_current(self, proxy: Proxy, name: str, listed: list[ListedVersion]) -> None:
        """See that reads and listings agree on which version is the current one."""
        shown = await proxy.colony.list_objects(CONTAINER, Query(prefix=name.encode(), shape=Shape.CURRENT))
        current = await _current(proxy, name)
        assert current == ((listed[0].version_id, listed[0].is_marker) if listed else None)
        assert len(shown.items) == (current is not None and not current[1])


async def _current(proxy: Proxy, name: str) -> tuple[str, bool] | None:
    """Return the id of the current version and whether it is a marker, None for none."""
    try:
        return (await proxy.colony.head_object(CONTAINER.object(name))).version_id, False
    except DeleteMarkerFound as found:
        return found.version_id, True
    except NoSuchObject:
        return None
