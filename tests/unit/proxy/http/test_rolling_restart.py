"""One server takes over from another on the same socket while clients keep asking."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from proxy.http.messages import Request, Response
from proxy.http.protocol import HttpSettings
from proxy.http.server import HttpServer

CLIENTS = 8
RESTARTS = 4
REQUEST = b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n" + b"x" * 40_000


async def answer(request: Request) -> Response:
    body = await request.body.read(1 << 20)
    await asyncio.sleep(0.001)
    return Response(200, [], body)


async def ask_again_and_again(address: tuple[str, int], ended: asyncio.Event) -> int:
    """Ask on kept connections until told to end; any failure is raised. Returns the count of requests."""
    count = 0
    while not ended.is_set():
        reader, writer = await asyncio.open_connection(*address)
        head = ""
        while "Connection: close" not in head and not ended.is_set():
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 200")
            assert await reader.readexactly(40_000) == b"x" * 40_000
            count += 1
        writer.close()
    return count


async def restart_under_load() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    settings = HttpSettings(drain_grace_ms=50)
    serving = HttpServer(answer, settings)
    await serving.serve(listening.dup())
    ended = asyncio.Event()
    clients = [
        asyncio.create_task(ask_again_and_again(listening.getsockname(), ended)) for _ in range(CLIENTS)
    ]
    for _ in range(RESTARTS):
        await asyncio.sleep(0.05)
        successor = HttpServer(answer, settings)
        await successor.serve(listening.dup())
        await serving.drain(10_000)
        serving = successor
    ended.set()
    counts = await asyncio.gather(*clients)
    assert all(count >= RESTARTS for count in counts)
    await serving.close()
    listening.close()


def test_a_rolling_restart_under_load_fails_no_request() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(restart_under_load(), 30))
