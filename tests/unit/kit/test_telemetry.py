"""Logs are JSON lines that carry where they come from; metrics and readiness are served over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import structlog

from kit.admin import AdminServer
from kit.request_context import RequestIds, request_id_var
from kit.telemetry import Metrics, configure_logging


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("proxy", "node-1", "info", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_both_kinds_of_loggers_write_json_lines_with_role_node_and_request(log: io.StringIO) -> None:
    token = request_id_var.set("tx1")
    logging.getLogger("kit.x").warning("old %s", "style", extra={"peer": "p"})
    structlog.get_logger("kit.y").info("new style", object="o", odd=b"\xff")
    logging.getLogger("kit.x").debug("not shown")
    request_id_var.reset(token)
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("kit.x").exception("failed")
    first, second, third = map(json.loads, log.getvalue().splitlines())
    assert first["event"] == "old style"
    assert (first["level"], first["peer"], first["request_id"]) == ("warning", "p", "tx1")
    assert (second["event"], second["object"], second["role"], second["node"]) == (
        "new style",
        "o",
        "proxy",
        "node-1",
    )
    assert "KeyError: 'k'" in third["exception"]
    assert "request_id" not in third


def test_request_ids_are_unique_across_processes_and_requests() -> None:
    makers = [RequestIds(), RequestIds()]
    ids = {maker.next() for maker in makers for _ in range(100)}
    assert len(ids) == 200
    assert {len(one) for one in ids} == {26}


def test_an_admin_server_tells_health_readiness_and_metrics(tmp_path: Path) -> None:
    metrics = Metrics("proxy", "node-1")
    metrics.counter("calls", "Calls.", ("op",)).labels("read").inc(3)
    metrics.latency("call_seconds", "Time of a call.").observe(60e-6)
    missing: list[str] = ["no ring"]
    server = AdminServer(metrics.render, {"ring": lambda: missing[0] if missing else None})

    async def main() -> None:
        address = await server.listen("tcp:127.0.0.1:0")
        url = "http://" + address.removeprefix("tcp:")
        async with aiohttp.ClientSession() as session:
            async with session.get(url + "/healthz") as response:
                assert response.status == 200
            async with session.get(url + "/readyz") as response:
                assert response.status == 503
                assert (await response.json())["missing"] == {"ring": "no ring"}
            missing.clear()
            async with session.get(url + "/readyz") as response:
                assert response.status == 200
            async with session.get(url + "/metrics") as response:
                text = await response.text()
        assert 'colonnade_process{node="node-1",role="proxy"} 1.0' in text
        assert 'colonnade_calls_total{op="read"} 3.0' in text
        assert 'colonnade_call_seconds_bucket{le="0.0001"} 1.0' in text
        await server.close()

    asyncio.run(main())


def test_an_admin_server_listens_on_a_unix_socket_too(tmp_path: Path) -> None:
    async def main() -> None:
        server = AdminServer(lambda: b"", {})
        await server.listen(f"unix:{tmp_path}/a.sock")
        connector = aiohttp.UnixConnector(f"{tmp_path}/a.sock")
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://a/readyz") as response,
        ):
            assert response.status == 200
        await server.close()

    asyncio.run(main())
