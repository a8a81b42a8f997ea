"""The HTTP driver over TLS: the same requests, bodies and ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from pathlib import Path

import pytest
import uvloop

from colonnade.certificate import make_self_signed
from kit.config import ConfigError
from proxy.http.messages import Request, Response
from proxy.http.protocol import HttpSettings
from proxy.http.server import HttpServer
from proxy.http.tls import server_context
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


async def say_nothing(folder: Path) -> bytes:
    context, _ = tls_contexts(folder)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    server = HttpServer(echo, HttpSettings(header_timeout_ms=200))
    await server.serve(sock, context)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    said = await reader.read()
    writer.close()
    await server.close()
    return said


def test_a_client_that_never_shakes_hands_is_let_go(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(asyncio.wait_for(say_nothing(tmp_path), 20)) == b""


def write_pair(folder: Path, name: str) -> tuple[str, str]:
    certificate, key = make_self_signed(("localhost",))
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate)
    paths[1].write_bytes(key)
    return str(paths[0]), str(paths[1])


@pytest.mark.parametrize(
    ("minimum", "refused"), [("1.2", ssl.TLSVersion.TLSv1_1), ("1.3", ssl.TLSVersion.TLSv1_2)]
)
def test_a_listener_speaks_no_version_below_its_minimum(
    tmp_path: Path, minimum: str, refused: ssl.TLSVersion
) -> None:
    server = server_context(*write_pair(tmp_path, "a"), minimum=minimum)
    assert server.minimum_version > refused
    client = ssl.create_default_context(cafile=str(tmp_path / "a.pem"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = refused
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client)


def test_a_client_of_any_newer_version_is_served(tmp_path: Path) -> None:
    server = server_context(*write_pair(tmp_path, "a"), minimum="1.2")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = ssl.create_default_context(cafile=str(tmp_path / "a.pem"))
        client.minimum_version = client.maximum_version = version
        client.set_alpn_protocols(["h2", "http/1.1"])
        assert shake_hands(server, client) == "http/1.1"


def test_a_pair_that_does_not_fit_or_is_not_there_names_the_settings(tmp_path: Path) -> None:
    first, second = write_pair(tmp_path, "a"), write_pair(tmp_path, "b")
    with pytest.raises(ConfigError, match=r"tls\.certificate.*no usable pair"):
        server_context(first[0], second[1], minimum="1.2")
    with pytest.raises(ConfigError, match=r"tls\.certificate.*is not there"):
        server_context(str(tmp_path / "none.pem"), first[1], minimum="1.2")


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "a")
    both = tmp_path / "both.pem"
    both.write_bytes(Path(certificate).read_bytes() + Path(key).read_bytes())
    server = server_context(str(both), "", minimum="1.2")
    assert shake_hands(server, ssl.create_default_context(cafile=certificate)) is None


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Let two ends shake hands in memory; returns the protocol they agreed on. Raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].selected_alpn_protocol()
