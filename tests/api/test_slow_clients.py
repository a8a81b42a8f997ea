"""Clients that send slowly, read nothing or go quiet in the middle starve nobody else."""

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

SLOW_COUNT = 400
REQUESTS = 20
REQUEST_S_MAX = 10.0
"""One request of another client beside them; a busy machine takes some time, a starved server for ever."""
CONNECTIONS_MAX = 300

FORM = b"multipart/form-data; boundary=x\r\nContent-Length: 900000\r\n\r\n--x"
BEGINNINGS = (
    b"",
    b"GET /slow",
    b"GET /slow/key HTTP/1.1\r\nHost: h\r\nX-Slow: ",
    b"PUT /slow/key HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n",
    b"PUT /slow/key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Type: " + FORM,
    b"GET /slow/large HTTP/1.1\r\nHost: h\r\n\r\n" * 20,
)
"""What slow clients begin with; the last asks for much and reads none of it."""


@dataclass
class Slow:
    """Many slow clients of a server."""

    sockets: list[socket.socket]

    def drip(self) -> None:
        """Send a byte more on each connection that still takes one."""
        for one in self.sockets:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                one.send(b"a")

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def slow_clients(colony: Colony, count: int) -> Slow:
    """Return clients that have connected and begun, each in its own way."""
    host, _, port = colony.s3_endpoint.removeprefix("http://").partition(":")
    made = []
    for number in range(count):
        one = socket.create_connection((host, int(port)), timeout=20)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(BEGINNINGS[number % len(BEGINNINGS)])
        if number % 11 == 10:
            one.shutdown(socket.SHUT_WR)  # half open: it will never send more
        one.setblocking(False)
        made.append(one)
    return Slow(made)


@pytest.fixture(scope="module")
def colony_with_few_connections(
    tmp_path_factory: pytest.TempPathFactory, clean_environment: None
) -> Iterator[Colony]:
    """A colony of one worker that keeps few connections, with something large that anybody may read."""
    with Colony(tmp_path_factory.mktemp("slow") / "data", workers=1) as colony:
        path = colony.data / "colonnade.toml"
        text = path.read_text()
        assert "[proxy]" in text
        path.write_text(text.replace("[proxy]", f"[proxy]\nconnections_max = {CONNECTIONS_MAX}", 1))
        colony.command("restart")
        s3 = client_of(colony)
        s3.create_bucket(Bucket="slow")
        s3.put_object(Bucket="slow", Key="large", Body=bytes(8 << 20), ACL="public-read")
        s3.put_object(Bucket="slow", Key="small", Body=b"small")
        yield colony


def test_slow_clients_starve_nobody(colony_with_few_connections: Colony) -> None:
    colony = colony_with_few_connections
    slow = slow_clients(colony, SLOW_COUNT)
    try:
        for _ in range(REQUESTS):
            slow.drip()
            s3 = client_of(colony)
            started_s = time.monotonic()
            assert s3.get_object(Bucket="slow", Key="small")["Body"].read() == b"small"
            s3.put_object(Bucket="slow", Key="other", Body=b"other")
            assert time.monotonic() - started_s < REQUEST_S_MAX
            s3.close()
    finally:
        slow.close()


def test_connections_beyond_the_limit_cost_those_that_only_wait(colony_with_few_connections: Colony) -> None:
    slow = slow_clients(colony_with_few_connections, SLOW_COUNT)
    selector = selectors.DefaultSelector()
    try:
        for one in slow.sockets:
            selector.register(one, selectors.EVENT_READ, one)
        ended, give_up_s = 0, time.monotonic() + 20
        while ended < SLOW_COUNT - CONNECTIONS_MAX and time.monotonic() < give_up_s:
            for key, _ in selector.select(1.0):
                if not _goes_on(key.data):
                    ended += 1
                    selector.unregister(key.data)
        assert ended >= SLOW_COUNT - CONNECTIONS_MAX
        assert client_of(colony_with_few_connections).list_buckets()["Buckets"]
    finally:
        selector.close()
        slow.close()


def _goes_on(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(65536))
    except ConnectionResetError:
        return False
