"""A page that comes from the proxy's memory shows what a page from the nodes would show."""

from __future__ import annotations

from unittest import mock

from model.listing import Query
from model.names import ContainerPath
from objectd.client import NodeClient
from proxy.operations.colony import Colony
from proxy.operations.types import HeldBody, NewObject
from tests.support.simulated_colony import Shape, SimulatedColony, simulate
from tests.support.simulated_network import Weather

BOX = ContainerPath("AUTH_test", "box")
CALM = Shape((2, 2, 1), Weather(slow=0.0))
QUERY = Query(limit=3)


async def put(proxy: Colony, name: str) -> None:
    await proxy.put_object(BOX.object(name), NewObject(), HeldBody(b"x"))


async def listed(proxy: Colony, query: Query = QUERY) -> tuple[list[bytes], int]:
    page, totals = await proxy.list_with_totals(BOX, query)
    return [name for name, _ in page.items], totals.count


def test_a_page_asked_for_again_is_not_sent_again_while_its_index_is_the_same() -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await colony.start(2)
        reader, writer = (proxy.colony for proxy in colony.proxies)
        await writer.create_container(BOX, "owner", {})
        for name in ("a", "c", "d", "e"):
            await put(writer, name)
        with mock.patch.object(NodeClient, "rows", autospec=True, side_effect=NodeClient.rows) as rows:
            seen = [await listed(reader) for _ in range(5)]
            assert seen == [([b"a", b"c", b"d"], 4)] * 5
            assert rows.call_count == 2, "kept when it was asked for again"
            # Another proxy writes: the very next listing shows it, and so do those after.
            await put(writer, "b")
            assert [await listed(reader) for _ in range(4)] == [([b"a", b"b", b"c"], 5)] * 4
            assert rows.call_count == 4
            await writer.delete_object(BOX.object("a"))
            assert await listed(reader) == ([b"b", b"c", b"d"], 4)
            assert rows.call_count == 5

    simulate(1, CALM, scenario)


def test_a_walk_through_a_container_keeps_nothing() -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await colony.start(1)
        proxy = colony.proxies[0].colony
        await proxy.create_container(BOX, "owner", {})
        for number in range(9):
            await put(proxy, f"{number}")
        for marker in (b"", b"2", b"5"):
            names, _ = await listed(proxy, Query(limit=3, marker=marker))
            assert len(names) == 3
            assert proxy.nodes.pages.find(proxy._index(BOX), Query(limit=3, marker=marker)) is None

    simulate(2, CALM, scenario)


def test_listings_show_every_acknowledged_write_while_nodes_fail() -> None:
    async def scenario(colony: SimulatedColony) -> None:
        await colony.start(3)
        readers = [proxy.colony for proxy in colony.proxies]
        await readers[0].create_container(BOX, "owner", {})
        stored: set[bytes] = set()
        for number in range(40):
            if number % 8 == 3:
                # One node of three is away for some writes, and comes back without them.
                node = colony.nodes[f"node-{colony.rng.randrange(3)}"]
                node.kill()
            name = f"{colony.rng.randrange(100):02d}"
            await put(readers[number % 3], name)
            stored.add(name.encode())
            wanted = (sorted(stored)[:5], len(stored))
            for reader in readers:
                for _ in range(colony.rng.randrange(1, 4)):
                    names, _ = await listed(reader, Query(limit=5))
                    assert names == wanted[0]
            if number % 8 == 6:
                for node in colony.nodes.values():
                    if not node.up:
                        node.start()

    simulate(3, Shape((1, 1, 1), Weather(slow=0.0)), scenario)
