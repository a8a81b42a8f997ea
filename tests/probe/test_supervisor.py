"""The supervisor keeps its processes running, replaces them without a gap, and leaves none behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from colonnade.listeners import PortTaken, close_all, open_listeners
from colonnade.process import READY_FD, Launch
from colonnade.slot import Replacement, SlotPlan, StartFailed
from colonnade.supervisor import NoSuchRole, Supervisor
from tests.support.processes import children_of

STUB = str(Path(__file__).parents[1] / "support" / "stub_child.py")


class Told:
    """What the supervisor said, and a way to wait for the next thing."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.news = asyncio.Event()

    def log(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))
        self.news.set()

    async def wait(self, event: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while len(found := [fields for name, fields in self.lines if name == event]) < count:
                self.news.clear()
                await self.news.wait()
        return found[-1]


def plan(
    *arguments: str,
    name: str = "stub",
    replacement: Replacement = Replacement.SUCCEED,
    inherit: tuple[int, ...] = (),
    drain_timeout_ms: int = 10_000,
    log: Path | None = None,
) -> SlotPlan:
    command = (sys.executable, "-S", STUB, READY_FD, *arguments)
    launch = Launch(command, inherit=inherit, log=log)
    return SlotPlan("stub", name, launch, replacement, backoff_first_ms=1, drain_timeout_ms=drain_timeout_ms)


def supervised(
    plans: list[SlotPlan], scenario: Callable[[Supervisor, Told], Coroutine[Any, Any, None]]
) -> None:
    async def run() -> None:
        told = Told()
        supervisor = Supervisor([plans], log=told.log, changed=lambda: None)
        await supervisor.start()
        try:
            await scenario(supervisor, told)
        finally:
            await supervisor.stop()

    before = {child.pid for child in children_of(os.getpid())}
    asyncio.run(run())
    assert {child.pid for child in children_of(os.getpid())} == before


def pid_of(supervisor: Supervisor) -> int:
    return supervisor.pids()["stub"][0]


def test_a_killed_process_is_started_again() -> None:
    async def scenario(supervisor: Supervisor, told: Told) -> None:
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        assert (await told.wait("died"))["reason"] == "signal SIGKILL"
        second = (await told.wait("revived"))["pid"]
        assert second == pid_of(supervisor) != first
        assert supervisor.status()[0]["restarts"] == 1

    supervised([plan()], scenario)


def test_a_process_that_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    broken = tmp_path / "broken"

    async def scenario(supervisor: Supervisor, told: Told) -> None:
        broken.touch()
        os.kill(pid_of(supervisor), signal.SIGKILL)
        failure = await told.wait("start_failed", 2)
        assert "exit status 3" in failure["reason"]
        assert "the stub was told to fail" in failure["reason"]
        broken.unlink()
        await told.wait("revived")

    supervised([plan("--fail-if", str(broken), log=tmp_path / "stub.log")], scenario)


def test_a_first_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        plans = [plan(name="good"), plan("--fail-if", STUB, name="bad", log=tmp_path / "log")]
        supervisor = Supervisor([plans], log=Told().log, changed=lambda: None)
        with pytest.raises(StartFailed, match=r"(?s)bad ended with exit status 3.*told to fail"):
            await supervisor.start()
        assert supervisor.pids() == {"stub": []}

    asyncio.run(run())


def test_a_process_that_will_not_end_is_killed() -> None:
    async def scenario(supervisor: Supervisor, told: Told) -> None:
        first = pid_of(supervisor)
        await supervisor.restart("stub")
        assert (await told.wait("killed"))["pid"] == first

    supervised([plan("--ignore-term", drain_timeout_ms=100)], scenario)


def test_a_restart_of_an_unknown_role_names_the_known_ones() -> None:
    async def scenario(supervisor: Supervisor, told: Told) -> None:
        with pytest.raises(NoSuchRole, match="there are: stub"):
            await supervisor.restart("nobody")

    supervised([plan()], scenario)


def test_no_client_is_refused_while_workers_are_killed_and_replaced() -> None:
    listeners = open_listeners("127.0.0.1", 0, 2)
    port = listeners[0].getsockname()[1]
    plans = [
        plan(
            str(listener.fileno()),
            name=f"stub-{number}",
            replacement=Replacement.OVERLAP,
            inherit=(listener.fileno(),),
        )
        for number, listener in enumerate(listeners)
    ]

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = await reader.readline()
        writer.close()
        return int(line)

    async def scenario(supervisor: Supervisor, told: Told) -> None:
        old = set(supervisor.pids()["stub"])
        seen: set[int] = set()
        restarted = asyncio.ensure_future(supervisor.restart())
        while not restarted.done():
            seen.add(await ask())
        assert await restarted == ["stub-0", "stub-1"]
        new = set(supervisor.pids()["stub"])
        assert not new & old
        assert {await ask() for _ in range(20)} <= new
        assert seen <= old | new

        # Both dead: those who connect now wait in the queue for the next worker.
        for pid in new:
            os.kill(pid, signal.SIGKILL)
        answers = await asyncio.gather(*(ask() for _ in range(8)))
        assert not set(answers) & new

    try:
        supervised(plans, scenario)
    finally:
        close_all(listeners)


def test_children_die_with_a_supervisor_that_is_killed() -> None:
    script = f"""
import asyncio, sys
from colonnade.process import Launch, start_process
async def main():
    child = start_process(Launch((sys.executable, "-S", {STUB!r}, "{READY_FD}")))
    await child.ready
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()

    async def gone() -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(pidfd, ended.set)
        async with asyncio.timeout(20):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(pidfd)

    try:
        asyncio.run(gone())
    finally:
        os.close(pidfd)


def test_a_taken_port_is_refused_with_a_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} of 127.0.0.1 is taken .* --port"):
            open_listeners("127.0.0.1", port, 2)
    shared = open_listeners("127.0.0.1", 0, 2)
    try:
        with pytest.raises(PortTaken, match="is taken"):
            open_listeners("127.0.0.1", shared[0].getsockname()[1], 2)
    finally:
        close_all(shared)
