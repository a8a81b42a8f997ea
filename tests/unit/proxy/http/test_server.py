"""The HTTP server over real sockets: framing, order, back-pressure, slow and rude clients, drain."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from model.errors import BadRequest, IncompleteBody
from proxy.http.body import CHUNK_BYTES, HELD_BYTES_MAX
from proxy.http.messages import Buffer, Request, Response
from proxy.http.protocol import App, HttpSettings
from proxy.http.server import HttpServer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

HOST = b"Host: h\r\n"


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


@asynccontextmanager
async def serving(
    app: App, settings: HttpSettings | None = None
) -> AsyncIterator[tuple[HttpServer, Connect]]:
    server = HttpServer(app, settings)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    host, port = sock.getsockname()
    await server.serve(sock)
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
        writers.append(writer)
        return reader, writer

    try:
        yield server, connect
    finally:
        for writer in writers:
            writer.close()
        await server.close()


async def response_from(reader: asyncio.StreamReader, *, head_only: bool = False) -> tuple[int, str, bytes]:
    """Return status, head and body of the next response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split(" ", 2)[1])
    length = re.search(r"Content-Length: (\d+)", head)
    if head_only or status in (100, 204, 304):
        return status, head, b""
    if length is not None:
        return status, head, await reader.readexactly(int(length[1]))
    if "chunked" not in head:
        return status, head, await reader.read()
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return status, head, body


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


async def echo(request: Request) -> Response:
    body = await request.body.read(1 << 26)
    where = f"{request.method} {request.raw_path}?{request.raw_query} {request.remote}"
    return Response(200, [("X-Where", where), ("X-Id", request.id)], body)


async def ignore(request: Request) -> Response:
    return Response(200, [], b"ignored")


def test_a_request_is_answered_and_the_connection_used_again() -> None:
    async def main() -> None:
        async with serving(echo) as (server, connect):
            reader, writer = await connect()
            ids = set()
            for body in (b"", b"x", b"y" * 70_000, b"z" * 3_000_000):
                writer.write(b"PUT /a?q HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (HOST, len(body), body))
                status, head, got = await response_from(reader)
                assert (status, got) == (200, body)
                assert "X-Where: PUT /a?q 127.0.0.1\r\n" in head
                assert "Date: " in head
                ids.add(re.findall("X-Id: (tx[0-9a-f]{24})\r\n", head)[0])
            assert len(ids) == 4
            assert len(server.connections) == 1

    run(main)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def main() -> None:
        async with serving(echo) as (_, connect):
            reader, writer = await connect()
            sized = b"".join(
                b"PUT /%d HTTP/1.1\r\n%sContent-Length: 2\r\n\r\n%02d" % (n, HOST, n) for n in range(50)
            )
            chunked = b"".join(
                b"PUT /%d HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n2\r\n%02d\r\n0\r\n\r\n"
                % (n, HOST, n)
                for n in range(50, 99)
            )
            bodiless = b"\r\nGET /99 HTTP/1.1\r\n" + HOST + b"Pad: " + b"p" * 40_000 + b"\r\n\r\n"
            writer.write((sized + chunked + bodiless) * 3)
            for _ in range(3):
                for number in range(100):
                    _, head, body = await response_from(reader)
                    assert f" /{number}?" in head
                    assert body == (b"%02d" % number if number < 99 else b"")

    run(main)


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_request_cut_at_every_byte_is_read_the_same(framing: str) -> None:
    if framing == "sized":
        data = b"PUT /k HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
    else:
        data = (
            b"PUT /k HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: v\r\n\r\n"
        )

    async def main() -> None:
        async with serving(echo) as (_, connect):
            reader, writer = await connect()
            for cut in range(1, len(data)):
                writer.write(data[:cut])
                await asyncio.sleep(0.0005)
                writer.write(data[cut:])
                assert (await response_from(reader))[2] == b"hello"
            for at in range(len(data)):
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            assert (await response_from(reader))[2] == b"hello"

    run(main)


def test_large_chunked_bodies_arrive_whole() -> None:
    async def main() -> None:
        async with serving(echo) as (_, connect):
            reader, writer = await connect()
            body = bytes(range(256)) * 12_000
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(body), 70_001):
                piece = body[at : at + 70_001]
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")
            assert (await response_from(reader))[2] == body

    run(main)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 200_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 300 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    ],
)
def test_a_bad_head_is_refused_in_plain_text_and_no_handler_sees_it(
    request_bytes: bytes, status: int
) -> None:
    async def app(request: Request) -> Response:
        raise AssertionError("a handler saw it")

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            writer.write(request_bytes)
            got, head, body = await response_from(reader)
            assert got == status
            assert "Connection: close" in head
            assert body.endswith(b"\n")
            assert await reader.read() == b""

    run(main)


def test_malformed_chunks_reach_the_handler_as_bad_request() -> None:
    async def app(request: Request) -> Response:
        with pytest.raises(BadRequest):
            await request.body.read(100)
        return Response(400, [], b"seen")

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            writer.write(
                b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloGET / HTTP/1.1"
            )
            assert (await response_from(reader))[2] == b"seen"
            assert await reader.read() == b""

    run(main)


def test_continue_is_sent_when_the_body_is_asked_for() -> None:
    async def main() -> None:
        async with serving(echo) as (_, connect):
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert (await response_from(reader))[0] == 100
            writer.write(b"hello")
            assert (await response_from(reader))[2] == b"hello"
            # A client that does not wait gets one all the same, also for an empty body.
            for body in (b"hello", b""):
                length = b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
                writer.write(b"PUT / HTTP/1.1\r\n" + HOST + length + body)
                assert (await response_from(reader))[0] == 100
                assert (await response_from(reader))[2] == body

    run(main)


def test_continue_is_not_sent_when_the_handler_answers_without_the_body() -> None:
    async def main() -> None:
        async with serving(ignore) as (_, connect):
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            status, head, body = await response_from(reader)
            assert (status, body) == (200, b"ignored")
            assert "Connection: close" in head
            assert await reader.read() == b""

    run(main)


def test_a_short_unread_body_is_passed_over_and_a_long_one_ends_the_connection() -> None:
    async def main() -> None:
        async with serving(ignore) as (_, connect):
            reader, writer = await connect()
            for framing in (
                b"Content-Length: 5\r\n\r\nhello",
                b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            ):
                writer.write(b"PUT / HTTP/1.1\r\n" + HOST + framing)
                assert (await response_from(reader))[2] == b"ignored"
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n")
            assert "Connection" not in (await response_from(reader))[1]
            writer.write(b"x" * 60_000 + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await response_from(reader))[2] == b"ignored"
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
            assert "Connection: close" in (await response_from(reader))[1]
            assert await reader.read() == b""

    run(main)


def test_a_slow_handler_holds_the_client_back_and_little_memory() -> None:
    release = asyncio.Event()
    held: list[Any] = []

    async def app(request: Request) -> Response:
        held.append(request.body)
        chunks = request.body.chunks()
        total = len(await anext(chunks))
        await release.wait()
        async for chunk in chunks:
            total += len(chunk)
        return Response(200, [], str(total).encode())

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 20000000\r\n\r\n")

            async def upload() -> None:
                for _ in range(200):
                    writer.write(b"x" * 100_000)
                    await writer.drain()

            uploading = asyncio.create_task(upload())
            await until(lambda: bool(held) and held[0].taken_bytes >= CHUNK_BYTES + HELD_BYTES_MAX)
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert held[0].taken_bytes <= 2 * CHUNK_BYTES + HELD_BYTES_MAX
            release.set()
            await uploading
            assert (await response_from(reader))[2] == b"20000000"

    run(main)


def test_a_client_that_leaves_mid_body_is_an_incomplete_body() -> None:
    caught = asyncio.Event()

    async def app(request: Request) -> Response:
        with pytest.raises(IncompleteBody):
            await request.body.read(1 << 20)
        caught.set()
        return Response(400)

    async def main() -> None:
        async with serving(app) as (server, connect):
            for framing in (
                b"Content-Length: 500000\r\n\r\nabc",
                b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
            ):
                _, writer = await connect()
                writer.write(b"PUT / HTTP/1.1\r\n" + HOST + framing)
                await writer.drain()
                await until(lambda: bool(server.connections))
                writer.close()
                await caught.wait()
                caught.clear()
                await until(lambda: not server.connections)

    run(main)


def test_a_client_that_leaves_cancels_the_handler() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def app(request: Request) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response(200)

    async def main() -> None:
        async with serving(app) as (_, connect):
            _, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await started.wait()
            writer.close()
            await cancelled.wait()

    run(main)


def test_responses_are_framed_by_what_their_body_is() -> None:
    async def pieces() -> AsyncIterator[Buffer]:
        for piece in (b"ab", b"", memoryview(b"cd"), bytearray(b"e" * 300_000)):
            yield piece

    async def app(request: Request) -> Response:
        match request.raw_path:
            case "/chunked":
                return Response(200, [], pieces())
            case "/length":
                return Response(200, [], pieces(), length=300_004)
            case "/head":
                return Response(200, [], b"", length=77)
            case "/none":
                return Response(204)
        return Response(200, [], b"e" * 100_000, close=True)

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            expected = b"abcd" + b"e" * 300_000
            for path in (b"chunked", b"length"):
                writer.write(b"GET /%s HTTP/1.1\r\n%s\r\n" % (path, HOST))
                assert (await response_from(reader))[2] == expected
            for path, field in (
                (b"head", "Content-Length: 77\r\n"),
                (b"length", "Content-Length: 300004\r\n"),
            ):
                writer.write(b"HEAD /%s HTTP/1.1\r\n%s\r\n" % (path, HOST))
                assert field in (await response_from(reader, head_only=True))[1]
            writer.write(b"GET /none HTTP/1.1\r\n%s\r\n" % HOST)
            status, head, _ = await response_from(reader)
            assert status == 204
            assert "Content-Length" not in head
            writer.write(b"GET /close HTTP/1.1\r\n%s\r\n" % HOST)
            assert (await response_from(reader))[2] == b"e" * 100_000
            assert await reader.read() == b""
            reader, writer = await connect()
            writer.write(b"GET /chunked HTTP/1.0\r\n\r\n")
            assert (await response_from(reader))[2] == expected

    run(main)


def test_a_slow_reader_holds_the_handler_back() -> None:
    made = 0

    async def pieces() -> AsyncIterator[Buffer]:
        nonlocal made
        for _ in range(400):
            made += 100_000
            yield b"x" * 100_000

    async def app(request: Request) -> Response:
        return Response(200, [], pieces(), length=40_000_000)

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: made > 0)
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert made < 20_000_000
            assert len((await response_from(reader))[2]) == 40_000_000

    run(main)


@pytest.mark.parametrize("fault", ["raises", "short", "long"])
def test_a_response_that_breaks_off_breaks_the_connection(fault: str) -> None:
    async def pieces() -> AsyncIterator[Buffer]:
        yield b"x" * 100
        if fault == "raises":
            raise OSError("disk gone")
        if fault == "long":
            yield b"x" * 1000

    async def app(request: Request) -> Response:
        return Response(200, [], pieces(), length=500)

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await response_from(reader)

    run(main)


def test_a_failing_handler_is_answered_and_the_connection_lives() -> None:
    async def late() -> AsyncIterator[Buffer]:
        for failing in (True, False):
            if failing:
                raise OSError("before the first byte")
            yield b""

    async def app(request: Request) -> Response:
        if request.raw_path == "/late":
            return Response(200, [], late(), length=5)
        raise KeyError("secret")

    async def main() -> None:
        async with serving(app) as (_, connect):
            reader, writer = await connect()
            for path, status in ((b"/", 500), (b"/late", 503), (b"/", 500)):
                writer.write(b"GET %s HTTP/1.1\r\n%s\r\n" % (path, HOST))
                got, _, body = await response_from(reader)
                assert got == status
                assert b"secret" not in body

    run(main)


def test_a_head_that_does_not_come_is_timed_out() -> None:
    async def main() -> None:
        settings = HttpSettings(header_timeout_ms=40, keep_alive_timeout_ms=60)
        async with serving(echo, settings) as (_, connect):
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nHost")
            assert (await response_from(reader))[0] == 408
            reader, _ = await connect()
            assert await reader.read() == b""
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await response_from(reader))[0] == 200
            assert await reader.read() == b""

    run(main)


def test_a_body_that_stops_coming_is_timed_out() -> None:
    async def main() -> None:
        async with serving(echo, HttpSettings(body_idle_timeout_ms=40)) as (_, connect):
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabc")
            status, head, _ = await response_from(reader)
            assert status == 408
            assert "Connection: close" in head

    run(main)


def test_a_client_that_never_reads_is_given_up() -> None:
    async def app(request: Request) -> Response:
        return Response(200, [], bytes(30_000_000))

    async def main() -> None:
        async with serving(app, HttpSettings(body_idle_timeout_ms=60)) as (server, connect):
            reader, writer = await connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: bool(server.connections))
            await until(lambda: not server.connections)
            del reader

    run(main)


def test_the_connection_that_has_waited_longest_makes_room_for_a_new_one() -> None:
    async def main() -> None:
        async with serving(echo, HttpSettings(connections_max=3)) as (server, connect):
            first, second, third = await connect(), await connect(), await connect()
            for reader, writer in (first, second, third):
                writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nok")
                assert (await response_from(reader))[0] == 200
                await asyncio.sleep(0.01)  # the loop's clock counts milliseconds
            second[1].write(b"PUT / HTT")  # a head that does not come on is no work either
            await asyncio.sleep(0.02)
            newer = []
            for shed in (first, third, second):
                newer.append(await connect())
                assert await shed[0].read() == b""
                await until(lambda: len(server.connections) == 3)
            for reader, writer in newer:
                writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nok")
                assert (await response_from(reader))[2] == b"ok"

    run(main)


def test_where_all_are_at_work_a_new_connection_is_refused_in_words() -> None:
    release = asyncio.Event()

    async def app(request: Request) -> Response:
        await release.wait()
        return Response(200, [], b"done")

    async def main() -> None:
        async with serving(app, HttpSettings(connections_max=2)) as (server, connect):
            working = [await connect() for _ in range(2)]
            for _, writer in working:
                writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: all(one.waits_for_client(0) is None for one in server.connections))
            reader, _ = await connect()
            status, head, _ = await response_from(reader)
            assert (status, "Connection: close" in head) == (503, True)
            assert await reader.read() == b""
            release.set()
            for reader, _ in working:
                assert (await response_from(reader))[2] == b"done"

    run(main)


def test_clients_that_stopped_in_the_middle_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.http.protocol.STALLED_S", 0.0)

    async def main() -> None:
        async with serving(echo, HttpSettings(connections_max=1)) as (server, connect):
            stalled_reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabc")
            await until(lambda: any(one.waits_for_client(1e12) for one in server.connections))
            await until(
                lambda: all((one.waits_for_client(1e12) or (0,))[0] == 1 for one in server.connections)
            )
            reader, writer = await connect()
            writer.write(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nok")
            assert (await response_from(reader))[2] == b"ok"
            assert await stalled_reader.read() == b""

    run(main)


def test_draining_finishes_requests_in_flight_and_lets_idle_connections_go() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def app(request: Request) -> Response:
        if request.raw_path == "/slow":
            started.set()
            await release.wait()
        return Response(200, [], b"done")

    async def main() -> None:
        async with serving(app, HttpSettings(drain_grace_ms=100)) as (server, connect):
            idle, kept, slow = await connect(), await connect(), await connect()
            for _, writer in (idle, kept):
                writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            for reader, _ in (idle, kept):
                assert "close" not in (await response_from(reader))[1]
            slow[1].write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
            await started.wait()
            draining = asyncio.create_task(server.drain(10_000))
            await asyncio.sleep(0)
            with pytest.raises(OSError, match=r"onnect"):
                await connect()
            kept[1].write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert "Connection: close" in (await response_from(kept[0]))[1]
            assert await idle[0].read() == b""
            assert not draining.done()
            release.set()
            _, head, body = await response_from(slow[0])
            assert body == b"done"
            assert "Connection: close" in head
            await draining

    run(main)


def test_a_drain_that_lasts_too_long_cancels_what_is_left() -> None:
    cancelled = asyncio.Event()

    async def app(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response(200)

    async def main() -> None:
        async with serving(app) as (server, connect):
            _, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: bool(server.connections))
            await server.drain(30)
            await cancelled.wait()
            assert not server.connections

    run(main)
