"""Claims about the load generators, driven against a small Swift of the test's own on loopback."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from bench import load_async
from bench.cli import main
from bench.plan import plan_run, plan_seed
from bench.processes import StoreFailed
from bench.report import Measurement
from bench.runner import Runner
from bench.store import RunningStore, swift_endpoint
from bench.workload import Api, Operation, Workload
from tests.support.programs import find_program


@dataclass
class Shop:
    """What the small Swift holds, and how it misbehaves."""

    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fail_every: int = 0
    status_of_get: int = 200
    corrupt: bool = False
    close_after_each: bool = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shop: Shop

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        if self.shop.close_after_each:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        self.shop.requests.append(f"{self.command} {path}")
        if path == "/auth/v1.0":
            if self.headers["X-Auth-Key"] != "key":
                return self._answer(401)
            storage = f"http://{self.headers['Host']}/v1/AUTH_a"
            return self._answer(200, headers={"X-Auth-Token": "token", "X-Storage-Url": storage})
        if self.headers["X-Auth-Token"] != "token":
            return self._answer(401)
        if self.shop.fail_every and len(self.shop.requests) % self.shop.fail_every == 0:
            return self._answer(503)
        if path.count("/") == 3:
            return self._list(path, int(query["limit"][0]), query.get("marker", [""])[0])
        if path not in self.shop.objects:
            return self._answer(404)
        body = self.shop.objects[path]
        return self._answer(self.shop.status_of_get, bytes(len(body)) if self.shop.corrupt else body)

    do_HEAD = do_GET

    def _list(self, path: str, limit: int, marker: str) -> None:
        names = sorted(name.rpartition("/")[2] for name in self.shop.objects if name.startswith(path + "/"))
        page = [{"name": name, "hash": "0"} for name in names if name > marker][:limit]
        self._answer(200, json.dumps(page).encode())

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.shop.requests.append(f"PUT {self.path}")
        if self.path.count("/") > 3:
            self.shop.objects[self.path] = body
        self._answer(201)

    def do_DELETE(self) -> None:
        self.shop.requests.append(f"DELETE {self.path}")
        self._answer(204 if self.shop.objects.pop(self.path, None) is not None else 404)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """wrk leaves in the middle of responses at its end; that is no error of the test."""


@contextmanager
def opened(shop: Shop) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"shop": shop})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/auth/v1.0"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def workload(*operations: Operation, count: int | None = 40, size_bytes: int = 300) -> Workload:
    mix = tuple((operation, 1) for operation in operations)
    return Workload(
        "w",
        "W",
        Api.SWIFT,
        mix,
        size_bytes,
        connections=4,
        duration_s=0.5,
        count_max=count,
        objects=20,
        listing_limit=5,
    )


def measured(shop: Shop, wanted: Workload, *, driver: str = "async") -> Measurement:
    with opened(shop) as url:
        endpoint = swift_endpoint(url, user="a:u", key="key")
        store = RunningStore("shop", {Api.SWIFT: endpoint}, (os.getpid(),))
        return Runner(store, driver=driver).measure(wanted)


@pytest.mark.parametrize("operation", list(Operation))
def test_each_operation_is_counted_exactly_and_without_error(operation: Operation) -> None:
    row = measured(Shop(), workload(operation))
    assert row.load.errors == {}
    assert row.load.requests == 40
    assert row.load.latency.p50_ms <= row.load.latency.p99_ms <= row.load.latency.max_ms
    assert row.load.body_bytes == {"GET": 12_000, "PUT": 12_000, "LIST": row.load.body_bytes}.get(
        operation.name, 0
    )
    assert row.server is not None
    assert row.server.rss_peak_bytes > 0


def test_a_mix_sends_each_operation_as_often_as_its_share() -> None:
    shop = Shop()
    row = measured(shop, workload(Operation.GET, Operation.PUT, Operation.HEAD, Operation.DELETE))
    assert row.load.errors == {}
    assert row.load.requests == 40
    assert sum(name.startswith("DELETE ") for name in shop.requests) == 10
    assert sum("-write/run" in name and name.startswith("PUT ") for name in shop.requests) == 10


def test_a_run_for_a_time_ends_by_itself() -> None:
    row = measured(Shop(), workload(Operation.GET, count=None))
    assert row.load.errors == {}
    assert row.load.requests > 20


def test_responses_that_are_not_2xx_are_errors_and_fail_the_row() -> None:
    shop = Shop(fail_every=7)
    with opened(shop) as url:
        endpoint = swift_endpoint(url, user="a:u", key="key")
        body = bytes(300)
        seed = plan_seed(endpoint, body=body, now_ms=0, container="bench-swift-300-read", count=20)
        assert load_async.drive(seed, connections=4, duration_s=None).requests == 20
        plan = plan_run(workload(Operation.GET), endpoint, body=body, now_ms=0)
        load = load_async.drive(plan, connections=4, duration_s=None)
    failed = load.errors["GET answered 503"]
    assert failed >= 5
    assert load.requests == 40 - failed


def test_wrong_bytes_and_wrong_statuses_are_found_before_the_run() -> None:
    corrupt = measured(Shop(corrupt=True), workload(Operation.GET))
    assert corrupt.failed
    assert corrupt.load.errors == {"probe: GET returned other bytes than were stored": 2}
    refused = measured(Shop(status_of_get=500), workload(Operation.HEAD))
    assert refused.load.errors == {"probe: HEAD answered 500": 2}


def test_a_server_that_closes_each_connection_is_still_measured() -> None:
    row = measured(Shop(close_after_each=True), workload(Operation.GET))
    assert row.load.errors == {}
    assert row.load.requests == 40


def test_a_store_that_is_gone_is_an_error_and_no_hang() -> None:
    with opened(Shop()) as url:
        endpoint = swift_endpoint(url, user="a:u", key="key")
    plan = plan_run(workload(Operation.GET), endpoint, body=bytes(300), now_ms=0)
    load = load_async.drive(plan, connections=2, duration_s=1.0)
    assert load.requests == 0
    assert sum(load.errors.values()) == 10


def test_wrong_credentials_are_told_as_such() -> None:
    with opened(Shop()) as url, pytest.raises(StoreFailed, match="status 401"):
        swift_endpoint(url, user="a:u", key="wrong")


@pytest.mark.skipif(find_program("wrk") is None, reason="program wrk is not installed here")
@pytest.mark.parametrize("operation", [Operation.GET, Operation.PUT, Operation.LIST])
def test_wrk_sends_the_same_requests(operation: Operation) -> None:
    shop = Shop()
    row = measured(shop, workload(operation, count=None), driver="wrk")
    assert row.load.errors == {}
    assert row.load.driver == "wrk"
    assert row.load.requests > 20
    if operation is Operation.PUT:
        assert any(name.endswith("-write/run001-00000000") for name in shop.objects)


def test_the_command_prints_json_and_ends_with_1_when_a_row_fails(tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    command = ["run", "--api", "swift", "--key", "a:u", "--secret", "key", "--mix", "get", "--size", "1K"]
    command += ["--objects", "5", "--count", "10", "--json", "--save", str(saved)]
    with opened(Shop()) as url:
        good = CliRunner().invoke(main, [*command, "--endpoint", url])
    assert good.exit_code == 0, good.output
    (row,) = json.loads(good.stdout)["measurements"]
    assert (row["requests"], row["failed"], row["errors"]) == (10, False, {})
    assert json.loads(saved.read_text()) == json.loads(good.stdout)
    with opened(Shop(corrupt=True)) as url:
        bad = CliRunner().invoke(main, [*command, "--endpoint", url])
    assert bad.exit_code == 1
    shown = CliRunner().invoke(main, ["show", str(saved)])
    assert shown.exit_code == 1
    assert "FAILED swift" in shown.stdout
