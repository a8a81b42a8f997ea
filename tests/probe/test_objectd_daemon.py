"""The daemon over real folders: what it acknowledged survives kill -9, lost devices and flipped bits."""

from __future__ import annotations

import asyncio
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from model.errors import ColonnadeError, NodeUnreachable
from model.listing import Query
from objectd.client import NodeClient
from objectd.contract import Health, Notice, Outcome, Phase, epoch_of
from tests.support.objectd_node import (
    container_entry,
    digest,
    index_entry,
    object_entry,
    stamp,
    until,
    write_of,
)
from tests.support.objectd_process import ObjectdProcess, running

EPOCH = epoch_of(1, Phase.INITIAL)
DEVICES = (0, 1, 2)


async def put(client: NodeClient, name: str, payload: bytes) -> None:
    """Write an object and its row on three devices; raises unless two of each have it."""
    at = stamp(1000)
    entry, row = object_entry(name, at, len(payload)), index_entry("c", name, at, size=len(payload))
    (objects, rows) = await client.commit(
        [write_of(entry, DEVICES, 2, payload=0), write_of(row, DEVICES, 2)], [payload], epoch=EPOCH
    )
    for outcomes in (objects, rows):
        assert sum(one.outcome <= Outcome.KNOWN for one in outcomes) >= 2


def payload_of(name: str) -> bytes:
    return name.encode() * 300


@pytest.fixture
def daemon(tmp_path: Path) -> ObjectdProcess:
    return ObjectdProcess(tmp_path / "d")


def test_what_was_acknowledged_survives_kill_9_at_any_moment(daemon: ObjectdProcess) -> None:
    acknowledged: list[str] = []

    async def write_until_killed(client: NodeClient, number: int) -> None:
        for at in range(100_000):
            name = f"{number}-{at}"
            try:
                await put(client, name, payload_of(name))
            except NodeUnreachable:
                return
            acknowledged.append(name)

    async def run() -> None:
        for _ in range(3):
            daemon.start()
            client = daemon.client()
            writers = [asyncio.ensure_future(write_until_killed(client, number)) for number in range(8)]
            target = len(acknowledged) + 200
            await until(lambda target=target: len(acknowledged) >= target)  # type: ignore[misc]
            await asyncio.to_thread(daemon.kill)
            await asyncio.gather(*writers)
            await client.close()
        async with running(daemon) as client:
            for name in acknowledged:
                key = object_entry(name, stamp(1000)).key
                good = 0
                for device in DEVICES:
                    reply = await client.read(key, (device,), ask=1, epoch=EPOCH)
                    good += reply.payload is not None and bytes(reply.payload) == payload_of(name)
                assert good >= 2, name
            names: set[str] = set()
            query = Query(limit=1000)
            while True:
                page = (await client.rows(digest("c"), DEVICES, query, epoch=EPOCH, ask=3)).page
                names |= {name.decode() for name, _ in page.items}
                if not page.truncated:
                    break
                query = Query(limit=1000, marker=page.next_marker)
            assert names >= set(acknowledged)

    asyncio.run(run())


def test_a_clean_stop_answers_what_is_in_flight_and_keeps_everything(daemon: ObjectdProcess) -> None:
    async def run() -> None:
        done: list[str] = []
        refused = 0

        async def write(client: NodeClient, number: int) -> None:
            nonlocal refused
            for at in range(100_000):
                name = f"{number}-{at}"
                try:
                    await put(client, name, payload_of(name))
                except NodeUnreachable:
                    refused += 1
                    return
                done.append(name)

        daemon.start()
        client = daemon.client()
        writers = [asyncio.ensure_future(write(client, number)) for number in range(4)]
        await until(lambda: len(done) >= 100)
        assert await asyncio.to_thread(daemon.stop) == 0
        await asyncio.gather(*writers)
        assert refused == 4
        await client.close()
        async with running(daemon) as client:
            for name in done:
                reply = await client.read(object_entry(name, stamp(1000)).key, DEVICES, ask=3, epoch=EPOCH)
                assert reply.payload is not None
                assert bytes(reply.payload) == payload_of(name)
                # Nothing was cut off: every device has finished what it had begun.
                assert all(found.row is not None for found in reply.found)

    asyncio.run(run())


def test_a_device_folder_that_is_emptied_comes_back_empty_and_takes_writes(daemon: ObjectdProcess) -> None:
    async def run() -> None:
        async with running(daemon) as client:
            heard: list[tuple[int, int]] = []
            client.rpc.on_push = lambda op, args: (
                heard.append((args[0], args[1])) if op == Notice.DEVICE else None
            )
            await put(client, "before", b"bytes")
            key = object_entry("before", stamp(1000)).key
            for path in daemon.device(1).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            await until(lambda: (1, Health.OK) in heard)
            assert (1, Health.FAILED) in heard
            await put(client, "after", b"bytes")
            on_it = object_entry("on-it", stamp(1))
            ((*outcomes,),) = await client.commit([write_of(on_it, (1,))], epoch=EPOCH)
            assert outcomes[0].outcome is Outcome.STORED
            await expect_filling(client, [1])
            # It lacks what it had acknowledged, so it is not asked, also after a restart.
            reply = await client.read(key, (1, 0), ask=2, epoch=EPOCH)
            assert [(found.device, found.row is None) for found in reply.found] == [(0, False)]
        async with running(daemon) as client:
            await expect_filling(client, [1])
            guarded = index_entry("c", "n", stamp(1))
            ((*outcomes,),) = await client.commit(
                [write_of(guarded, (1,), guard=container_entry("c", stamp(1)).key)], epoch=EPOCH
            )
            assert outcomes[0].outcome is Outcome.FAILED
            await client.filled(1, epoch=EPOCH)
            await expect_filling(client, [])
            reply = await client.read(on_it.key, (1,), ask=1, epoch=EPOCH)
            assert reply.found[0].row is not None
        async with running(daemon) as client:
            await expect_filling(client, [])

    asyncio.run(run())


def test_flipped_bits_are_never_served_and_are_told_of(daemon: ObjectdProcess) -> None:
    async def run() -> None:
        async with running(daemon) as client:
            payload = b"unmistakable-" * 50
            await put(client, "o", payload)
            for path in (daemon.device(0) / "volumes").iterdir():
                raw = bytearray(path.read_bytes())
                at = raw.find(payload)
                if at >= 0:
                    with open(path, "r+b") as file:
                        file.seek(at + 7)
                        file.write(bytes([raw[at + 7] ^ 1]))
            key = object_entry("o", stamp(1000)).key
            reply = await client.read(key, DEVICES, ask=2, epoch=EPOCH)
            assert bytes(reply.payload or b"") == payload
            assert reply.payload_device != 0
            assert [(hint.key, hint.devices) for hint in await client.repairs()] == [(key, [0])]
            # Setting a record aside is a commit of its own: the next one comes after it.
            await put(client, "another", b"bytes")
            assert await client.quarantined(0) == [key]

    asyncio.run(run())


def test_an_adopted_ring_outlives_a_restart(daemon: ObjectdProcess) -> None:
    async def run() -> None:
        async with running(daemon) as client:
            ring = await client.ring_get()
            assert ring is not None
            later = await client.ring_adopt(ring.data, Phase.SETTLED)
            assert later == epoch_of(1, Phase.SETTLED)
            with pytest.raises(ColonnadeError):
                await client.ring_adopt(b"COLORING" + ring.data[8:-1], Phase.SETTLED)
        async with running(daemon) as client:
            assert await client.epoch() == later
            assert (await client.status()).ready

    asyncio.run(run())


def test_admin_pages_tell_health_readiness_and_figures(daemon: ObjectdProcess) -> None:
    async def run() -> None:
        async with running(daemon) as client:
            await client.commit([write_of(container_entry("c", stamp(1)), DEVICES)], epoch=EPOCH)
            pages = {
                path: await asyncio.to_thread(fetch, f"{daemon.told['admin']}/{path}")
                for path in ("healthz", "readyz", "metrics")
            }
            assert [pages[path][0] for path in ("healthz", "readyz")] == [200, 200]
            text = pages["metrics"][1]
            for line in (
                'colonnade_objectd_call_seconds_count{op="commit"} 1.0',
                'colonnade_device_commit_seconds_count{device="0"} 1.0',
                'colonnade_device_health{device="2"} 1.0',
                "colonnade_ring_epoch 4.0",
            ):
                assert line in text

    asyncio.run(run())


async def expect_filling(client: NodeClient, devices: list[int]) -> None:
    assert (await client.status()).filling == devices


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
