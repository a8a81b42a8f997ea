"""Measures what a call between two processes costs: the node protocol beside two alternatives.

    python -m bench.rpc [--calls N]

Each row is one way to carry a call over a unix socket: the node protocol, msgpack over asyncio's
stream reader and writer, and msgpack over aiohttp. CPU is what the kernel accounts to each process,
per call, with 16 calls in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import aiohttp
import msgpack
import uvloop
from aiohttp import web

from kit.rpc import Reply
from kit.rpc_client import RpcClient
from kit.rpc_server import Call, RpcServer

KEY: Final = bytes(32)
IN_FLIGHT: Final = 16
ARGS: Final = [1, b"k" * 33, [1, 2, 3], 2, 0, 4096, True]
SIZES: Final = (4096, 1024 * 1024)

# One call: sends `up` bytes and asks for `down` bytes back.
Caller = Callable[[bytes, int], Awaitable[int]]
Close = Callable[[], Awaitable[object]]
_BODIES: Final = {size: b"d" * size for size in (0, *SIZES)}


def cpu_us(pid: int) -> float:
    """Return the microseconds of CPU that the main thread of a process has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


async def serve_frames(path: str) -> None:
    """Serve calls by the node protocol."""

    def handle(call: Call) -> Reply:
        return Reply([1, b"k" * 33, call.args[0]], _BODIES[call.args[0]])

    async def handle_stream(call: Call) -> Reply:
        down_bytes, up_bytes = call.args
        if up_bytes:
            async for _ in call.chunks():
                pass
        if down_bytes > 4096:
            await call.begin([1, b"k" * 33, down_bytes])
            await call.send(_BODIES[down_bytes])
            return Reply()
        return Reply([1, b"k" * 33, down_bytes], _BODIES[down_bytes])

    await RpcServer({"read": handle, "stream": handle_stream}, KEY, name="server").listen(f"unix:{path}")


async def call_frames(path: str) -> tuple[Caller, Close]:
    """Return a caller by the node protocol."""
    client = RpcClient(f"unix:{path}", KEY, name="client")

    async def call(up: bytes, down: int) -> int:
        reply = await client.call("read", [down, *ARGS], up, deadline_ms=30_000)
        return len(reply.body)

    return call, client.close


async def call_frames_streaming(path: str) -> tuple[Caller, Close]:
    """Return a caller by streaming calls of the node protocol, which may begin with a head."""
    client = RpcClient(f"unix:{path}", KEY, name="client")

    async def call(up: bytes, down: int) -> int:
        stream = await client.open_stream("stream", [down, len(up)], deadline_ms=30_000)
        if up:
            await stream.send(up)
            await stream.finish()
        received = 0
        async for chunk in stream.chunks():
            received += len(chunk)
        return received + len((await stream.reply()).body)

    return call, client.close


async def serve_streams(path: str) -> None:
    """Serve length-prefixed msgpack calls by asyncio's streams, bodies inside msgpack."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                size = int.from_bytes(await reader.readexactly(4), "big")
            except asyncio.IncompleteReadError:
                return
            call_id, args, _ = msgpack.unpackb(await reader.readexactly(size))
            packed = msgpack.packb([call_id, [1, b"k" * 33, args[0]], _BODIES[args[0]]])
            writer.write(len(packed).to_bytes(4, "big") + packed)
            await writer.drain()

    await asyncio.start_unix_server(connected, path, limit=4 * 1024 * 1024)


async def call_streams(path: str) -> tuple[Caller, Close]:
    """Return a caller by asyncio's streams, multiplexed by call ids."""
    reader, writer = await asyncio.open_unix_connection(path, limit=4 * 1024 * 1024)
    pending: dict[int, asyncio.Future[bytes]] = {}
    loop = asyncio.get_running_loop()
    last_id = 0

    async def receive() -> None:
        while not reader.at_eof():
            size = int.from_bytes(await reader.readexactly(4), "big")
            call_id, _, body = msgpack.unpackb(await reader.readexactly(size))
            pending.pop(call_id).set_result(body)

    receiving = loop.create_task(receive())

    async def call(up: bytes, down: int) -> int:
        nonlocal last_id
        assert not receiving.done()
        last_id += 1
        pending[last_id] = answered = loop.create_future()
        packed = msgpack.packb([last_id, [down, *ARGS], up])
        writer.write(len(packed).to_bytes(4, "big") + packed)
        await writer.drain()
        return len(await answered)

    async def close() -> None:
        receiving.cancel()
        writer.close()
        await asyncio.wait([receiving])

    return call, close


async def serve_http(path: str) -> None:
    """Serve calls by aiohttp, args and heads in a header, bodies as HTTP bodies."""

    async def handle(request: web.Request) -> web.Response:
        args = msgpack.unpackb(bytes.fromhex(request.headers["x-args"]))
        await request.read()
        head = msgpack.packb([1, b"k" * 33, args[0]]).hex()
        return web.Response(body=_BODIES[args[0]], headers={"x-head": head})

    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/read", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()


async def call_http(path: str) -> tuple[Caller, Close]:
    """Return a caller by aiohttp."""
    session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path))

    async def call(up: bytes, down: int) -> int:
        headers = {"x-args": msgpack.packb([down, *ARGS]).hex()}
        async with session.post("http://node/read", data=up, headers=headers) as response:
            msgpack.unpackb(bytes.fromhex(response.headers["x-head"]))
            return len(await response.read())

    return call, session.close


WAYS: Final = {
    "node protocol": (serve_frames, call_frames),
    "… as streams": (serve_frames, call_frames_streaming),
    "asyncio streams": (serve_streams, call_streams),
    "aiohttp": (serve_http, call_http),
}


def _server(way: str, path: str, ready: Connection) -> None:
    async def main() -> None:
        await WAYS[way][0](path)
        ready.send(True)
        await asyncio.Event().wait()

    uvloop.run(main())


async def _measure(way: str, path: str, pid: int, calls: int) -> None:
    call, close = await WAYS[way][1](path)
    for up_bytes, down_bytes in ((0, 4096), (4096, 0), (0, 1 << 20), (1 << 20, 0)):
        count = calls if max(up_bytes, down_bytes) <= 4096 else calls // 20
        up = _BODIES[up_bytes]

        async def work(turns: int, up: bytes = up, down_bytes: int = down_bytes) -> None:
            for _ in range(turns):
                assert await call(up, down_bytes) == down_bytes

        await work(1)
        server_us, client_us, started = cpu_us(pid), time.process_time(), time.perf_counter()
        await asyncio.gather(*(work(count // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        elapsed = time.perf_counter() - started
        count -= count % IN_FLIGHT
        server_us = (cpu_us(pid) - server_us) / count
        client_us = (time.process_time() - client_us) * 1e6 / count
        print(  # noqa: T201
            f"{way:16} up {up_bytes:>8} down {down_bytes:>8}   server {server_us:8.1f} µs"
            f"   client {client_us:8.1f} µs   {count / elapsed:9.0f} calls/s"
        )
    await close()


def main() -> None:
    """Measure each way and print its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000, help="calls of 4 KiB; 1/20 of it of 1 MiB")
    calls = parser.parse_args().calls
    context = multiprocessing.get_context("spawn")
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/rpc.sock"
            ready, told = context.Pipe()
            process = context.Process(target=_server, args=(way, path, told), daemon=True)
            process.start()
            ready.recv()
            assert process.pid is not None
            uvloop.run(_measure(way, path, process.pid, calls))
            process.terminate()
            process.join()


if __name__ == "__main__":
    main()
