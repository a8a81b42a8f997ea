"""What a peer may do wrong: each fault ends its own connection, and the server serves on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from kit import handshake
from kit.frames import HEADER, WINDOW_BYTES, FrameFlags, FrameType, encode_frame
from kit.rpc import Reply
from kit.rpc_client import RpcClient
from kit.rpc_server import Call, RpcServer
from model.errors import NodeUnreachable

KEY = bytes(range(32))

Frame = tuple[int, int, bytes]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


class RawPeer:
    """A peer that speaks frames by hand, and so may speak them wrongly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(
        self, kind: int, call_id: int = 0, head: object = None, body: bytes = b"", flags: int = 0
    ) -> None:
        self.writer.write(b"".join(encode_frame(kind, call_id, head, body, flags=flags)))

    async def receive(self) -> Frame:
        """Return type, call id and all other bytes of the next frame."""
        header = HEADER.unpack(await self.reader.readexactly(HEADER.size))
        return header[2], header[5], await self.reader.readexactly(header[0])

    async def shake_hands(self, versions: tuple[int, int] = handshake.PROTOCOL_VERSIONS) -> None:
        hello = handshake.encode_greeting("raw", b"n" * 32, versions)
        self.send(FrameType.HELLO, body=hello)
        kind, _, challenge = await self.receive()
        assert kind == FrameType.CHALLENGE
        self.send(FrameType.PROOF, body=handshake.client_proof(KEY, hello, challenge))
        kind, _, proof = await self.receive()
        assert kind == FrameType.WELCOME
        assert proof == handshake.server_proof(KEY, hello, challenge)


async def hold(call: Call) -> Reply:
    await asyncio.Event().wait()
    return Reply()


def against_server(attack: Callable[[RawPeer], Awaitable[None]]) -> None:
    """Run an attack, and check that another client is served afterwards."""

    async def main() -> None:
        server = RpcServer(
            {"echo": lambda call: Reply(call.args, call.body), "hold": hold}, KEY, name="server"
        )
        address = await server.listen("tcp:127.0.0.1:0")
        host, port = address.removeprefix("tcp:").split(":")
        peer = RawPeer(*await asyncio.open_connection(host, int(port)))
        await attack(peer)
        client = RpcClient(address, KEY, name="client")
        assert (await client.call("echo", 1, b"x", deadline_ms=10_000)).body == b"x"
        peer.writer.close()
        await client.close()
        await server.close()

    run(main)


async def refused(peer: RawPeer, words: str) -> None:
    kind, call_id, rest = await peer.receive()
    assert (kind, call_id) == (FrameType.ERROR, 0)
    assert words.encode() in rest
    assert await peer.reader.read() == b""


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "frame version"),
        (b"".join(encode_frame(FrameType.REQUEST, 1, ["echo", 1, "", 1])), "REQUEST is out of order"),
        (b"".join(encode_frame(FrameType.PROOF, 0, None, bytes(32))), "PROOF is out of order"),
        (b"".join(encode_frame(FrameType.HELLO, 0, None, b"junk")), "malformed greeting"),
        (b"".join(encode_frame(FrameType.HELLO, 0, None, bytes(5000))), "at most 4096"),
        (
            b"".join(
                encode_frame(FrameType.HELLO, 0, None, handshake.encode_greeting("n", bytes(32), (7, 9)))
            ),
            "protocol versions 7 to 9",
        ),
    ],
)
def test_strangers_are_refused_before_anything_is_done_for_them(first: bytes, words: str) -> None:
    async def attack(peer: RawPeer) -> None:
        peer.writer.write(first)
        await refused(peer, words)

    against_server(attack)


def test_a_proof_by_another_key_or_of_another_side_is_refused() -> None:
    for prove in (
        lambda hello, challenge: handshake.client_proof(bytes(32), hello, challenge),
        lambda hello, challenge: handshake.server_proof(KEY, hello, challenge),
    ):

        async def attack(peer: RawPeer, prove: Callable[[bytes, bytes], bytes] = prove) -> None:
            hello = handshake.encode_greeting("raw", b"n" * 32)
            peer.send(FrameType.HELLO, body=hello)
            _, _, challenge = await peer.receive()
            peer.send(FrameType.PROOF, body=prove(hello, challenge))
            await refused(peer, "the cluster keys differ")

        against_server(attack)


@pytest.mark.parametrize("head", [None, 1, ["echo"], ["echo", "soon", "", 1], ["echo", None, "", 1]])
def test_malformed_requests_end_the_connection(head: object) -> None:
    async def attack(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.send(FrameType.REQUEST, 1, head)
        await refused(peer, "malformed request")

    against_server(attack)


def test_a_call_id_in_flight_cannot_be_used_again() -> None:
    async def attack(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.send(FrameType.REQUEST, 1, ["hold", 60_000, "", None])
        peer.send(FrameType.REQUEST, 1, ["hold", 60_000, "", None])
        await refused(peer, "in flight already")

    against_server(attack)


def test_data_beyond_the_window_and_credit_beyond_it_end_the_connection() -> None:
    async def too_much_data(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.send(FrameType.REQUEST, 1, ["hold", 60_000, "", None], flags=FrameFlags.STREAM)
        for _ in range(WINDOW_BYTES // 65_536 + 1):
            peer.send(FrameType.DATA, 1, None, bytes(65_536))
        await refused(peer, "beyond the credit")

    async def too_much_credit(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.send(FrameType.REQUEST, 1, ["hold", 60_000, "", None], flags=FrameFlags.STREAM)
        peer.send(FrameType.CREDIT, 1, WINDOW_BYTES)
        await refused(peer, "beyond the window")

    against_server(too_much_data)
    against_server(too_much_credit)


def test_frames_of_calls_that_have_ended_are_passed_over() -> None:
    async def attack(peer: RawPeer) -> None:
        await peer.shake_hands()
        for kind, head in (
            (FrameType.DATA, None),
            (FrameType.END, None),
            (FrameType.CREDIT, 5),
            (FrameType.CANCEL, None),
        ):
            peer.send(kind, 99, head, b"x")
        peer.send(FrameType.PING, 7)
        assert (await peer.receive())[:2] == (FrameType.PONG, 7)

    against_server(attack)


def test_a_handler_that_outlives_its_deadline_is_ended_although_the_caller_hangs() -> None:
    async def attack(peer: RawPeer) -> None:
        await peer.shake_hands()
        peer.send(FrameType.REQUEST, 1, ["hold", 30, "", None])
        kind, call_id, rest = await peer.receive()
        assert (kind, call_id) == (FrameType.ERROR, 1)
        assert b"DeadlineExceeded" in rest

    against_server(attack)


def test_a_client_believes_no_server_that_cannot_prove_the_key() -> None:
    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        await peer.receive()
        peer.send(FrameType.CHALLENGE, body=handshake.encode_greeting("objectd", b"s" * 32))
        await peer.receive()
        peer.send(FrameType.WELCOME, body=bytes(32))
        await reader.read()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(impostor, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        client = RpcClient(f"tcp:127.0.0.1:{port}", KEY, name="client")
        with pytest.raises(NodeUnreachable, match="keys differ"):
            await client.call("echo", 1, deadline_ms=10_000)
        await client.close()
        listener.close()

    run(main)


def test_a_server_that_never_answers_the_handshake_is_a_missed_deadline_and_can_be_closed() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        client = RpcClient(f"tcp:127.0.0.1:{port}", KEY, name="client")
        with pytest.raises(Exception, match="could not be sent in time"):
            await client.call("echo", 1, deadline_ms=30)
        waiting = asyncio.create_task(client.call("echo", 1, deadline_ms=10_000))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(NodeUnreachable, match="client is closed"):
            await waiting
        listener.close()

    run(main)


def test_a_client_that_reads_no_answers_gets_no_more_calls_served() -> None:
    served = 0

    def big(call: Call) -> Reply:
        nonlocal served
        served += 1
        return Reply(None, bytes(1 << 20))

    async def main() -> None:
        server = RpcServer({"big": big}, KEY, name="server")
        address = await server.listen("tcp:127.0.0.1:0")
        host, port = address.removeprefix("tcp:").split(":")
        peer = RawPeer(*await asyncio.open_connection(host, int(port)))
        await peer.shake_hands()
        for call_id in range(1, 101):
            # Spread out, so that they do not all arrive in one read.
            peer.send(FrameType.REQUEST, call_id, ["big", 60_000, "x" * 10_000, None])
        (connection,) = server.connections
        for _ in range(10_000):
            if connection.write_paused:
                break
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert served < 60
        for _ in range(100):
            kind, _, body = await peer.receive()
            assert kind == FrameType.REPLY
            assert len(body) > 1 << 20
        assert served == 100
        peer.writer.close()
        await server.close()

    run(main)
