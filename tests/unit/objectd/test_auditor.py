"""Claims of the auditor: it tells how devices are, finds what has rotted, and trusts no empty device."""

import asyncio
from pathlib import Path

from objectd.auditor import Auditor
from objectd.contract import Health, Notice
from objectd.memory_store import MemoryStore
from tests.support.objectd_node import EPOCH, Node, object_entry, serving, stamp, until, write_of


def auditor_of(node: Node, *, holds_all: bool = True) -> Auditor:
    async def answer(device: int) -> bool:
        return holds_all

    auditor = Auditor(node.state, bytes_per_s=1 << 30, period_s=1, holds_all=answer)
    for device, store in node.state.stores.items():
        auditor.watch(device, store)
    return auditor


def memory(node: Node, device: int) -> MemoryStore:
    store = node.state.stores[device]
    assert isinstance(store, MemoryStore)
    return store


def test_a_record_that_rotted_unread_is_found_and_hinted(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            entry = object_entry("o", stamp(1), 5)
            await node.client.commit([write_of(entry, (0, 1), payload=0)], [b"bytes"], epoch=EPOCH)
            memory(node, 1).corrupt(entry.key)
            auditor = auditor_of(node)
            await until(lambda: len(node.state.repairs))
            ((hint),) = await node.client.repairs()
            assert (hint.key, hint.devices) == (entry.key, [1])
            assert node.state.metrics.devices[0].scrubbed_bytes > 0
            await auditor.close()

    asyncio.run(run())


def test_a_device_that_fails_and_returns_is_told_of_and_asked_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await node.client.epoch()
            memory(node, 2).set_health(Health.FAILED, "pulled")
            assert node.state.filling == [2]
            memory(node, 2).set_health(Health.OK)
            auditor = auditor_of(node)
            await until(lambda: len(node.notices) == 2)
            assert [args[:2] for op, args in node.notices if op == Notice.DEVICE] == [
                [2, Health.FAILED],
                [2, Health.OK],
            ]
            assert node.state.filling == []
            await auditor.close()

    asyncio.run(run())


def test_a_device_that_returns_without_what_it_had_is_not_asked_until_it_is_filled(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as node:
            await node.client.epoch()
            memory(node, 2).set_health(Health.FAILED, "emptied")
            memory(node, 2).set_health(Health.OK)
            auditor = auditor_of(node, holds_all=False)
            await until(lambda: len(node.notices) == 2)
            assert (await node.client.status()).filling == [2]
            entry = object_entry("o", stamp(1))
            await node.client.commit([write_of(entry, (1, 2))], epoch=EPOCH)
            reply = await node.client.read(entry.key, (2, 1), ask=2, epoch=EPOCH)
            assert [found.device for found in reply.found] == [1]
            await node.client.filled(2, epoch=EPOCH)
            reply = await node.client.read(entry.key, (2, 1), ask=2, epoch=EPOCH)
            assert [found.device for found in reply.found] == [2, 1]
            await auditor.close()

    asyncio.run(run())
