"""Measures what an HTTP request costs the server: the lean driver beside aiohttp.

    python -m bench.http_server [--seconds N]

Both serve the same trivial handlers on uvloop; wrk drives them with 16 connections. CPU is what the
kernel accounts to the server's main thread, per request.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import web

CONNECTIONS: Final = 16
SERVERS: Final = {
    "proxy.http": ["-m", "proxy.http.trivial"],
    "aiohttp": ["-m", "bench.http_server", "--serve"],
}
LOADS: Final = (("GET", 4096), ("PUT", 4096), ("GET", 1 << 20), ("PUT", 1 << 20))


def cpu_us(pid: int) -> float:
    """Return the microseconds of CPU that the main thread of a process has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


async def serve() -> None:
    """Serve the trivial handlers by aiohttp."""
    bodies: dict[str, bytes] = {}

    async def get(request: web.Request) -> web.Response:
        body = bodies.get(request.path)
        if body is None:
            body = bodies[request.path] = bytes(int(request.path[1:]))
        return web.Response(body=body, headers={"ETag": '"x"'})

    async def put(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201, headers={"ETag": '"x"'})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/{bytes}", get)
    app.router.add_put("/{bytes}", put)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def measure(server: str, seconds: int) -> None:
    """Start a server, drive it by each load and print a row for each."""
    process = subprocess.Popen([sys.executable, *SERVERS[server]], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for method, size in LOADS:
            drive(method, size, port, 1)
            before_us = cpu_us(process.pid)
            requests, rate = drive(method, size, port, seconds)
            cost_us = (cpu_us(process.pid) - before_us) / requests
            print(f"{server:12} {method} {size:>8}   {cost_us:8.1f} µs CPU   {rate:>10} requests/s")  # noqa: T201
    finally:
        process.terminate()
        process.wait()


def drive(method: str, size: int, port: int, seconds: int) -> tuple[int, str]:
    """Return how many requests wrk made in that time, and its rate."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "{method}"\n')
        if method == "PUT":
            script.write(f'wrk.body = string.rep("x", {size})\n')
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script.name]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/{size}"], check=True, capture_output=True, text=True
        ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    requests = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec: +([\d.]+)", output)
    assert requests is not None
    assert rate is not None
    return int(requests[1]), rate[1]


def main() -> None:
    """Measure each server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3, help="per load")
    parser.add_argument("--serve", action="store_true", help="be the aiohttp server and print its port")
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve())
        return
    for server in SERVERS:
        measure(server, arguments.seconds)


if __name__ == "__main__":
    main()
