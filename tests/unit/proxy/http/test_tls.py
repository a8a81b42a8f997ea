"""The HTTP driver over TLS: the same requests, bodies and ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import uvloop

from proxy.http.messages import Request, Response
from proxy.http.server import HttpServer
from tests.support.certificates import tls_contexts


async def echo(request: Request) -> Response:
    body = await request.body.read(1 << 26) if request.raw_path != "/unread" else b"unread"
    return Response(200, [("X-Secure", str(request.secure))], body)


async def exchange(folder: Path) -> None:
    server_context, client_context = tls_contexts(folder)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    address = sock.getsockname()
    server = HttpServer(echo)
    await server.serve(sock, server_context)
    reader, writer = await asyncio.open_connection(*address, ssl=client_context, limit=1 << 20)
    for size in (0, 5, 200_000, 3_000_000):
        writer.write(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"X-Secure: True" in head
        assert await reader.readexactly(size) == b"x" * size
    writer.write(b"PUT /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
    assert b"Connection: close" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b"unread"
    writer.close()
    await server.close()


def test_requests_over_tls_are_answered_and_known_as_secure(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(exchange(tmp_path), 20))
