"""The node protocol between real processes: killed, stopped, restarted, drained by signals."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kit.rpc_client import RpcClient
from model.errors import DeadlineExceeded, NodeUnreachable, Unavailable

KEY = bytes(range(32))
ROOT = Path(__file__).parents[2]

_DAEMON = """
import asyncio, sys
from kit.lifecycle import run_daemon
from kit.rpc import Reply
from kit.rpc_server import RpcServer

async def slow(call):
    await asyncio.sleep(call.args)
    return Reply("slept", b"x" * 300_000)

async def main(lifecycle):
    handlers = {"echo": lambda call: Reply(call.args, call.body), "slow": slow}
    server = RpcServer(handlers, bytes(range(32)), name="daemon")
    await server.listen(sys.argv[1])
    lifecycle.ready()
    await lifecycle.draining.wait()
    await server.drain(10_000)
    await server.close()

raise SystemExit(run_daemon(main, ready_fd=int(sys.argv[2])))
"""


@contextmanager
def daemon(address: str) -> Iterator[subprocess.Popen[bytes]]:
    ready, told = os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, address, str(told)], pass_fds=(told,), env=environment
    )
    os.close(told)
    try:
        assert os.read(ready, 100) == b"READY\n"
        yield process
    finally:
        os.close(ready)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


async def until(condition: Callable[[], bool]) -> None:
    for _ in itertools.count():
        if condition():
            return
        await asyncio.sleep(0.001)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


def test_a_killed_daemon_fails_calls_in_flight_and_its_successor_serves(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/d.sock"

    async def main() -> None:
        client = RpcClient(address, KEY, name="test")
        with daemon(address) as process:
            assert (await client.call("echo", [1], b"x", deadline_ms=10_000)).body == b"x"
            waiting = client.submit("slow", 60, deadline_ms=50_000)
            await client.call("echo", [1], deadline_ms=10_000)
            process.kill()
            with pytest.raises(NodeUnreachable):
                await waiting
            with pytest.raises(NodeUnreachable):
                await client.call("echo", [2], deadline_ms=10_000)
        with daemon(address):
            await client.wait_connected(10_000)
            assert (await client.call("echo", [3], b"y" * 5_000_000, deadline_ms=10_000)).head == [3]
        await client.close()

    run(main)


def test_a_stopped_daemon_is_a_missed_deadline_and_serves_again_when_continued(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/d.sock"

    async def main() -> None:
        client = RpcClient(address, KEY, name="test")
        with daemon(address) as process:
            await client.call("echo", [1], deadline_ms=10_000)
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded):
                await client.call("echo", [2], b"x" * 4_000_000, deadline_ms=200)
            process.send_signal(signal.SIGCONT)
            assert (await client.call("echo", [3], deadline_ms=10_000)).head == [3]
        await client.close()

    run(main)


def test_a_daemon_told_to_end_answers_what_is_in_flight_first(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/d.sock"

    async def main() -> None:
        client = RpcClient(address, KEY, name="test")
        with daemon(address) as process:
            await client.wait_connected(10_000)
            waiting = client.submit("slow", 0.3, deadline_ms=10_000)
            await client.call("echo", [1], deadline_ms=10_000)
            process.send_signal(signal.SIGTERM)
            reply = await waiting
            assert (reply.head, len(reply.body)) == ("slept", 300_000)
            assert await asyncio.to_thread(process.wait, 20) == 0
        await client.close()

    run(main)


def test_a_second_signal_ends_a_daemon_at_once(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/d.sock"

    async def main() -> None:
        client = RpcClient(address, KEY, name="test")
        with daemon(address) as process:
            await client.wait_connected(10_000)
            waiting = client.submit("slow", 60, deadline_ms=50_000)
            process.send_signal(signal.SIGTERM)
            await until(lambda: not client.connected)
            process.send_signal(signal.SIGINT)
            with pytest.raises(Unavailable):
                await waiting
            assert await asyncio.to_thread(process.wait, 20) == 130
        await client.close()

    run(main)
