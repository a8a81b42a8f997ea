"""The node protocol end to end, over real sockets in one process."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kit.frames import WINDOW_BYTES
from kit.rpc import Reply
from kit.rpc_client import RpcClient
from kit.rpc_server import Call, Handler, RpcServer
from model.errors import (
    BadRequest,
    DeadlineExceeded,
    InvalidRange,
    NodeUnreachable,
    NoSuchObject,
    StaleRing,
    Unavailable,
)

KEY = bytes(range(32))
DEADLINE_MS = 10_000


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


@asynccontextmanager
async def serving(
    handlers: Mapping[str, Handler], address: str = "tcp:127.0.0.1:0"
) -> AsyncIterator[tuple[RpcServer, RpcClient]]:
    server = RpcServer(handlers, KEY, name="server")
    client = RpcClient(await server.listen(address), KEY, name="client")
    try:
        yield server, client
    finally:
        await client.close()
        await server.close()


async def until(condition: Callable[[], bool]) -> None:
    for _ in itertools.count():
        if condition():
            return
        await asyncio.sleep(0)


def echo(call: Call) -> Reply:
    return Reply([call.op, call.args, call.peer], call.body)


async def forever(call: Call) -> Reply:
    await asyncio.Event().wait()
    return Reply()


@pytest.mark.parametrize("body_bytes", [0, 1, 4096, 65_536, 300_000, 5_000_000])
def test_a_call_brings_args_and_body_there_and_back(body_bytes: int) -> None:
    body = (bytes(range(256)) * (body_bytes // 256 + 1))[:body_bytes]

    async def main() -> None:
        async with serving({"echo": echo}) as (_, client):
            reply = await client.call("echo", {"a": [1, b"x", None]}, body, deadline_ms=DEADLINE_MS)
            assert reply.head == ["echo", {"a": [1, b"x", None]}, "client"]
            assert reply.body == body

    run(main)


def test_bodies_of_several_buffers_arrive_as_one() -> None:
    def several(call: Call) -> Reply:
        return Reply(None, b"a" * 40_000, [bytearray(b"b"), memoryview(b"c" * 9)])

    async def main() -> None:
        async with serving({"echo": echo, "several": several}) as (_, client):
            sent = await client.call("echo", 1, [b"x" * 30_000, memoryview(b"y")], deadline_ms=DEADLINE_MS)
            assert sent.body == b"x" * 30_000 + b"y"
            got = await client.call("several", 1, deadline_ms=DEADLINE_MS)
            assert got.body == b"a" * 40_000 + b"b" + b"c" * 9

    run(main)


def test_unix_sockets_carry_the_same_protocol(tmp_path: Path) -> None:
    async def main() -> None:
        address = f"unix:{tmp_path}/d.sock"
        async with serving({"echo": echo}, address) as (_, client):
            assert (await client.call("echo", 1, b"x", deadline_ms=DEADLINE_MS)).body == b"x"
        # A socket left behind is replaced by the next server.
        async with serving({"echo": echo}, address) as (_, client):
            assert (await client.call("echo", 1, b"y", deadline_ms=DEADLINE_MS)).body == b"y"

    run(main)


def test_many_calls_share_one_connection_and_answer_out_of_order() -> None:
    gate: dict[int, asyncio.Future[Reply]] = {}

    def later(call: Call) -> asyncio.Future[Reply]:
        gate[call.args] = asyncio.get_running_loop().create_future()
        if len(gate) == 50:
            for number in sorted(gate, reverse=True):
                gate[number].set_result(Reply(number))
        return gate[call.args]

    async def main() -> None:
        async with serving({"later": later}) as (server, client):
            calls = (client.call("later", number, deadline_ms=DEADLINE_MS) for number in range(50))
            assert [reply.head for reply in await asyncio.gather(*calls)] == list(range(50))
            assert len(server.connections) == 1
            submitted = client.submit("later", 50, deadline_ms=DEADLINE_MS)
            await until(lambda: not 50 not in gate)
            gate[50].set_result(Reply("x"))
            assert (await submitted).head == "x"

    run(main)


@pytest.mark.parametrize(
    "error",
    [NoSuchObject("no such key"), StaleRing(7), InvalidRange(99), BadRequest("odd"), DeadlineExceeded("d")],
)
def test_errors_of_the_tree_arrive_as_they_were_raised(error: Exception) -> None:
    def now(call: Call) -> Reply:
        raise error

    async def later(call: Call) -> Reply:
        raise error

    async def main() -> None:
        async with serving({"now": now, "later": later}) as (_, client):
            for op in ("now", "later"):
                with pytest.raises(type(error)) as caught:
                    await client.call(op, None, deadline_ms=DEADLINE_MS)
                assert str(caught.value) == str(error)
                assert vars(caught.value) == vars(error)

    run(main)


def test_other_errors_are_logged_and_arrive_as_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: Call) -> Reply:
        raise KeyError("secret detail")

    def unsendable(call: Call) -> Reply:
        return Reply(object())

    async def main() -> None:
        async with serving({"broken": broken, "unsendable": unsendable}) as (_, client):
            for op in ("broken", "unsendable"):
                with pytest.raises(Unavailable, match=f"internal error in {op}") as caught:
                    await client.call(op, None, deadline_ms=DEADLINE_MS)
                assert "secret" not in str(caught.value)

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "secret detail" in caplog.text


def test_an_error_larger_than_a_frame_arrives_cut_and_ends_its_call() -> None:
    def wordy(call: Call) -> Reply:
        raise BadRequest("x" * (2 << 20))

    async def main() -> None:
        async with serving({"wordy": wordy}) as (_, client):
            with pytest.raises(BadRequest, match=r"^x{1000}"):
                await client.call("wordy", None, deadline_ms=DEADLINE_MS)

    run(main)


def test_an_unknown_operation_is_a_bad_request() -> None:
    async def main() -> None:
        async with serving({}) as (_, client):
            with pytest.raises(BadRequest, match="no operation 'nope'"):
                await client.call("nope", None, deadline_ms=DEADLINE_MS)

    run(main)


def test_a_missed_deadline_is_raised_and_cancels_the_handler() -> None:
    cancelled = asyncio.Event()

    async def slow(call: Call) -> Reply:
        try:
            assert 0 < call.remaining_ms <= 30
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Reply()

    async def main() -> None:
        async with serving({"slow": slow, "echo": echo}) as (_, client):
            with pytest.raises(DeadlineExceeded):
                await client.call("slow", None, deadline_ms=30)
            await cancelled.wait()
            assert (await client.call("echo", 1, b"x", deadline_ms=DEADLINE_MS)).body == b"x"

    run(main)


def test_cancelling_the_caller_cancels_the_handler() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(call: Call) -> Reply:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Reply()

    async def main() -> None:
        async with serving({"slow": slow}) as (_, client):
            caller = asyncio.create_task(client.call("slow", None, deadline_ms=DEADLINE_MS))
            await started.wait()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            await cancelled.wait()

    run(main)


def test_a_lost_connection_fails_calls_in_flight_and_the_next_call_connects_anew() -> None:
    async def main() -> None:
        async with serving({"forever": forever, "echo": echo}) as (server, client):
            caller = asyncio.create_task(client.call("forever", None, deadline_ms=DEADLINE_MS))
            await until(lambda: any(connection.calls for connection in server.connections))
            for connection in list(server.connections):
                connection.abort("test")
            with pytest.raises(NodeUnreachable):
                await caller
            assert (await client.call("echo", 1, b"x", deadline_ms=DEADLINE_MS)).body == b"x"

    run(main)


def test_no_listener_is_unreachable_and_waiting_finds_the_node_when_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        address = f"unix:{tmp_path}/d.sock"
        client = RpcClient(address, KEY, name="client")
        with pytest.raises(NodeUnreachable):
            await client.call("echo", 1, deadline_ms=DEADLINE_MS)
        with pytest.raises(NodeUnreachable, match="next attempt"):
            await client.call("echo", 1, deadline_ms=DEADLINE_MS)
        waiting = asyncio.create_task(client.wait_connected(DEADLINE_MS))
        server = RpcServer({"echo": echo}, KEY, name="server")
        await server.listen(address)
        await waiting
        assert (await client.call("echo", 1, b"x", deadline_ms=DEADLINE_MS)).body == b"x"
        await client.close()
        await server.close()

    run(main)


def test_a_patient_client_waits_for_a_node_that_is_away_but_not_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        address = f"unix:{tmp_path}/d.sock"
        patient = RpcClient(address, KEY, name="client", patience_ms=DEADLINE_MS)
        waiting = patient.submit("echo", 1, b"x", deadline_ms=DEADLINE_MS)
        hasty = patient.submit("echo", 1, b"x", deadline_ms=30)
        with pytest.raises(DeadlineExceeded):
            await hasty
        server = RpcServer({"echo": echo}, KEY, name="server")
        await server.listen(address)
        assert (await waiting).body == b"x"
        await server.close()
        await patient.close()
        less_patient = RpcClient(address, KEY, name="client", patience_ms=40)
        with pytest.raises(NodeUnreachable):
            await less_patient.call("echo", 1, deadline_ms=DEADLINE_MS)

    run(main)


def test_a_client_with_another_cluster_key_is_refused() -> None:
    async def main() -> None:
        async with serving({"echo": echo}) as (_, client):
            stranger = RpcClient(client.address, bytes(32), name="stranger")
            with pytest.raises(NodeUnreachable, match="keys differ"):
                await stranger.call("echo", 1, deadline_ms=DEADLINE_MS)
            await stranger.close()

    run(main)


def test_an_upload_stream_arrives_whole_and_a_slow_handler_holds_the_sender_back() -> None:
    release = asyncio.Event()

    async def store(call: Call) -> Reply:
        await release.wait()
        total = 0
        async for chunk in call.chunks():
            total += len(chunk)
        return Reply(total)

    async def main() -> None:
        async with serving({"store": store}) as (_, client):
            sent = 0

            async def upload() -> Reply:
                nonlocal sent
                stream = await client.open_stream("store", None, deadline_ms=DEADLINE_MS)
                for _ in range(64):
                    await stream.send(b"x" * 100_000)
                    sent += 100_000
                return await stream.finish()

            uploading = asyncio.create_task(upload())
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent <= WINDOW_BYTES
            release.set()
            assert (await uploading).head == 6_400_000

    run(main)


def test_a_download_stream_begins_with_its_head_and_a_slow_reader_holds_the_handler_back() -> None:
    sent = 0

    async def fetch(call: Call) -> Reply:
        nonlocal sent
        await call.begin({"size": 6_400_000})
        for _ in range(64):
            await call.send(memoryview(b"x" * 100_000))
            sent += 100_000
        return Reply("done")

    async def main() -> None:
        async with serving({"fetch": fetch}) as (_, client):
            stream = await client.open_stream("fetch", None, deadline_ms=DEADLINE_MS)
            assert await stream.head() == {"size": 6_400_000}
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent <= WINDOW_BYTES
            assert sum([len(chunk) async for chunk in stream.chunks()]) == 6_400_000
            assert (await stream.reply()).head == "done"

    run(main)


def test_a_stream_that_fails_midway_raises_where_it_is_read() -> None:
    async def fetch(call: Call) -> Reply:
        await call.send(b"some")
        raise NoSuchObject("gone")

    async def main() -> None:
        async with serving({"fetch": fetch, "echo": echo}) as (_, client):
            stream = await client.open_stream("fetch", None, deadline_ms=DEADLINE_MS)
            chunks = aiter(stream.chunks())
            assert await anext(chunks) == b"some"
            with pytest.raises(NoSuchObject):
                await anext(chunks)
            answered = await client.open_stream("echo", 5, deadline_ms=DEADLINE_MS)
            assert (await answered.head())[1] == 5
            assert [chunk async for chunk in answered.chunks()] == []

    run(main)


def test_leaving_a_stream_early_cancels_its_handler() -> None:
    cancelled = asyncio.Event()

    async def fetch(call: Call) -> Reply:
        try:
            while True:
                await call.send(b"x" * 50_000)
        finally:
            cancelled.set()

    async def main() -> None:
        async with serving({"fetch": fetch}) as (_, client):
            async with await client.open_stream("fetch", None, deadline_ms=DEADLINE_MS) as stream:
                assert await anext(stream.chunks().__aiter__())
            await cancelled.wait()

    run(main)


def test_a_draining_server_answers_what_is_in_flight_and_sends_clients_away() -> None:
    release = asyncio.Event()

    async def slow(call: Call) -> Reply:
        await release.wait()
        return Reply("kept")

    async def main() -> None:
        async with serving({"slow": slow}) as (server, client):
            caller = asyncio.create_task(client.call("slow", None, deadline_ms=DEADLINE_MS))
            await until(lambda: any(connection.calls for connection in server.connections))
            draining = asyncio.create_task(server.drain(DEADLINE_MS))
            await until(lambda: not client.connected)
            with pytest.raises(NodeUnreachable):
                await client.call("slow", None, deadline_ms=DEADLINE_MS)
            assert not draining.done()
            release.set()
            assert (await caller).head == "kept"
            await draining
            assert not server.connections

    run(main)


def test_notices_reach_every_client() -> None:
    async def main() -> None:
        async with serving({"echo": echo}) as (server, client):
            noticed: asyncio.Future[tuple[str, Any]] = asyncio.get_running_loop().create_future()
            client.on_push = lambda op, args: noticed.set_result((op, args))
            await client.call("echo", None, deadline_ms=DEADLINE_MS)
            server.push("ring", 8)
            assert await noticed == ("ring", 8)

    run(main)
