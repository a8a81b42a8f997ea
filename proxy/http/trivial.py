"""A server that does nothing but HTTP, so that its driver can be measured: `python -m proxy.http.trivial`.

Prints its port. `GET /N` answers N bytes, `PUT` reads the body and answers 201.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

from proxy.http.messages import Request, Response
from proxy.http.server import HttpServer

_BODIES: dict[str, bytes] = {}


async def answer(request: Request) -> Response:
    """Answer as the module says."""
    if request.method == "PUT":
        await request.body.read(1 << 30)
        return Response(201, [("ETag", '"x"')])
    body = _BODIES.get(request.raw_path)
    if body is None:
        body = _BODIES[request.raw_path] = bytes(int(request.raw_path[1:]))
    return Response(200, [("Content-Type", "application/octet-stream"), ("ETag", '"x"')], body)


async def main() -> None:
    """Serve until killed."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    await HttpServer(answer).serve(sock)
    sys.stdout.write(f"{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
