"""Clients of a simulated colony, and the history of what each of them saw."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from model.errors import ColonnadeError, Contended, NoSuchObject
from model.listing import Query, unpack_listed
from model.names import ContainerPath
from proxy.operations.types import (
    Buffer,
    HeldBody,
    NewObject,
    Precondition,
    StoredObject,
    StreamedBody,
)
from tests.support.linearizability import Act, Operation, Value, is_linearizable
from tests.support.simulated_colony import INLINE_BYTES_MAX, Proxy, SimulatedColony

CONTAINER = ContainerPath("AUTH_test", "box")


class Missed(Exception):
    """A condition does not hold: what is there is something else."""

    def __init__(self, held: Value) -> None:
        super().__init__(held)
        self.held = held


class Clients:
    """Readers and writers of a few names in one container; so many of the requests are on a condition."""

    def __init__(self, colony: SimulatedColony, names: int = 3, conditional: float = 0.0) -> None:
        self.colony = colony
        self._conditional = conditional
        self.names = [f"key-{index}" for index in range(names)]
        self.objects: dict[str, list[Operation]] = {name: [] for name in self.names}
        self.rows: dict[str, list[Operation]] = {name: [] for name in self.names}
        self._moments = itertools.count()
        self._bodies = itertools.count()
        self._by_etag: dict[str, str] = {}
        self.done = 0
        self.failed = 0
        self.swapped = 0
        self._last_seen: dict[str, Value] = {}

    # One request each; what is unsure has no end.

    async def put(self, proxy: Proxy, name: str) -> None:
        """Write a new value."""
        value = f"v{next(self._bodies)}"
        body = value.encode()
        if self.colony.rng.random() < 0.25:
            body = body.ljust(3 * INLINE_BYTES_MAX, b".")
        self._by_etag[hashlib.md5(body, usedforsecurity=False).hexdigest()] = value
        source = HeldBody(body) if len(body) < INLINE_BYTES_MAX else StreamedBody(_pieces(body), len(body))
        await self._record(
            Act.WRITE, (name,), value, proxy,
            lambda: proxy.colony.put_object(CONTAINER.object(name), NewObject(), source), rows=True,
        )  # fmt: skip

    async def get(self, proxy: Proxy, name: str) -> None:
        """Read a value with its bytes."""

        async def read() -> Value:
            try:
                opened = await proxy.colony.open_object(CONTAINER.object(name))
            except NoSuchObject:
                return None
            data = opened.data
            if data is None:
                size = opened.stored.record.size
                data = b"".join([bytes(chunk) async for chunk in opened.read(0, size)])
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if etag != opened.stored.record.etag:
                self.colony.faults.append(f"{name} has other bytes than its record says")
            return self._by_etag.get(opened.stored.record.etag, "never written")

        await self._record(Act.READ, (name,), None, proxy, read)

    async def head(self, proxy: Proxy, name: str) -> None:
        """Read a value without its bytes."""

        async def read() -> Value:
            try:
                stored = await proxy.colony.head_object(CONTAINER.object(name))
            except NoSuchObject:
                return None
            return self._by_etag.get(stored.record.etag, "never written")

        await self._record(Act.READ, (name,), None, proxy, read)

    async def delete(self, proxy: Proxy, name: str) -> None:
        """Delete a value; where there was none, that was a read."""
        begun = next(self._moments)
        deleted = False
        try:
            deletion = await proxy.colony.delete_object(CONTAINER.object(name))
            deleted = deletion.stored is not None or deletion.is_marker
        except ColonnadeError as error:
            self._unsure(Act.WRITE, (name,), None, begun, f"{proxy.name} delete: {error!r}", rows=True)
            return
        except asyncio.CancelledError:
            self._unsure(Act.WRITE, (name,), None, begun, f"{proxy.name} delete: cancelled", rows=True)
            raise
        act = Act.WRITE if deleted else Act.READ
        ended = next(self._moments)
        self.done += 1
        self._add(self.objects, name, Operation(act, None, begun, ended, f"{proxy.name} delete"))
        if deleted:
            self._add(self.rows, name, Operation(act, None, begun, ended, f"{proxy.name} delete"))

    async def put_if(self, proxy: Proxy, name: str, expected: Value) -> None:
        """Write a new value where the name holds an expected one, or nothing."""
        value = f"c{next(self._bodies)}"
        body = value.encode()
        self._by_etag[hashlib.md5(body, usedforsecurity=False).hexdigest()] = value

        async def swap() -> object:
            return await proxy.colony.put_object(
                CONTAINER.object(name), NewObject(), HeldBody(body), precondition=self._expect(expected)
            )

        await self._swap(proxy, name, value, expected, swap)

    async def delete_if(self, proxy: Proxy, name: str, expected: Value) -> None:
        """Delete an expected value."""

        async def swap() -> object:
            return await proxy.colony.delete_object(
                CONTAINER.object(name), precondition=self._expect(expected)
            )

        await self._swap(proxy, name, None, expected, swap)

    def _expect(self, expected: Value) -> Precondition:
        def check(stored: StoredObject | None) -> None:
            held = None if stored is None else self._by_etag.get(stored.record.etag, "never written")
            if held != expected:
                raise Missed(held)

        return check

    async def _swap(
        self,
        proxy: Proxy,
        name: str,
        value: Value,
        expected: Value,
        request: Callable[[], Awaitable[object]],
    ) -> None:
        begun = next(self._moments)
        who = f"{proxy.name} if {expected}"
        try:
            await request()
        except Missed as missed:
            self.done += 1
            seen = Operation(Act.READ, missed.held, begun, next(self._moments), who)
            self._add(self.objects, name, seen)
            return
        except Contended:
            # Nothing was done: that is what the error says.
            self.failed += 1
            return
        except (ColonnadeError, asyncio.CancelledError) as error:
            self.failed += 1
            unsure = Operation(Act.SWAP, value, begun, None, f"{who}: {error!r}", expected)
            self._add(self.objects, name, unsure)
            self._add(self.rows, name, Operation(Act.WRITE, value, begun, None, who))
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        self.done += 1
        self.swapped += 1
        ended = next(self._moments)
        self._add(self.objects, name, Operation(Act.SWAP, value, begun, ended, who, expected))
        self._add(self.rows, name, Operation(Act.WRITE, value, begun, ended, who))

    async def list_names(self, proxy: Proxy) -> None:
        """Read the rows of all names."""
        begun = next(self._moments)
        query = Query(reverse=self.colony.rng.random() < 0.3)
        try:
            page = await proxy.colony.list_objects(CONTAINER, query)
        except ColonnadeError:
            self.failed += 1
            return
        ended = next(self._moments)
        self.done += 1
        listed = {one.name: one for one in map(unpack_listed, page.items)}
        for name in self.names:
            row = listed.get(name)
            value = None if row is None else self._by_etag.get(row.etag, "never written")
            self._add(self.rows, name, Operation(Act.READ, value, begun, ended, f"{proxy.name} list"))

    async def _record(
        self,
        act: Act,
        names: tuple[str, ...],
        value: Value,
        proxy: Proxy,
        request: Callable[[], Awaitable[object]],
        *,
        rows: bool = False,
    ) -> None:
        begun = next(self._moments)
        try:
            result = await request()
        except ColonnadeError as error:
            self._unsure(act, names, value, begun, f"{proxy.name}: {error!r}", rows=rows)
            return
        except asyncio.CancelledError:
            self._unsure(act, names, value, begun, f"{proxy.name}: cancelled", rows=rows)
            raise
        ended = next(self._moments)
        self.done += 1
        seen = value if act is Act.WRITE else result
        assert seen is None or isinstance(seen, str)
        for name in names:
            operation = Operation(act, seen, begun, ended, proxy.name)
            self._add(self.objects, name, operation)
            if rows:
                self._add(self.rows, name, operation)

    def _unsure(
        self, act: Act, names: tuple[str, ...], value: Value, begun: int, who: str, *, rows: bool
    ) -> None:
        self.failed += 1
        self.colony.note(f"{act.value} {names} {value} began at {begun}: {who}")
        for name in names:
            if act is Act.WRITE:
                self._add(self.objects, name, Operation(act, value, begun, None, who))
                if rows:
                    self._add(self.rows, name, Operation(act, value, begun, None, who))

    def _add(self, history: dict[str, list[Operation]], name: str, operation: Operation) -> None:
        which = "row" if history is self.rows else "object"
        self.colony.note(f"{which} {name}: {operation}")
        if which == "object" and operation.ended is not None:
            self._last_seen[name] = operation.value
        history[name].append(operation)

    # Many.

    async def work(self, count: int) -> None:
        """Send requests one after the other, through whatever proxy is there; some are given up."""
        rng = self.colony.rng
        for _ in range(count):
            await asyncio.sleep(rng.uniform(0, 0.05))
            proxy = rng.choice(self.colony.proxies)
            name = rng.choice(self.names)
            task = proxy.run(self._any_request(proxy, name))
            if self.colony.shape.kill_proxies and rng.random() < 0.05:
                asyncio.get_running_loop().call_later(rng.uniform(0, 0.02), task.cancel)
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _any_request(self, proxy: Proxy, name: str) -> Coroutine[Any, Any, None]:
        if self._conditional and self.colony.rng.random() < self._conditional:
            return self._any_swap(proxy, name)
        chance = self.colony.rng.random()
        if chance < 0.35:
            return self.put(proxy, name)
        if chance < 0.55:
            return self.get(proxy, name)
        if chance < 0.68:
            return self.head(proxy, name)
        if chance < 0.80:
            return self.delete(proxy, name)
        return self.list_names(proxy)

    def _any_swap(self, proxy: Proxy, name: str) -> Coroutine[Any, Any, None]:
        expected = self._last_seen.get(name)
        if expected is not None and self.colony.rng.random() < 0.3:
            return self.delete_if(proxy, name, expected)
        return self.put_if(proxy, name, expected)

    async def look_at_everything(self) -> None:
        """Read every name by every proxy, and list."""
        for proxy in list(self.colony.proxies):
            for name in self.names:
                await self.get(proxy, name)
            await self.list_names(proxy)

    def check(self) -> None:
        """Raise AssertionError where what was seen cannot be explained."""
        for history, what in ((self.objects, "object"), (self.rows, "listing row")):
            for name, operations in history.items():
                if not is_linearizable(operations):
                    lines = "\n".join(map(str, sorted(operations, key=lambda one: one.begun)))
                    raise AssertionError(f"the {what} {name} is not linearizable:\n{lines}\n")


async def _pieces(body: bytes) -> AsyncIterator[Buffer]:
    for at in range(0, len(body), INLINE_BYTES_MAX):
        yield body[at : at + INLINE_BYTES_MAX]
