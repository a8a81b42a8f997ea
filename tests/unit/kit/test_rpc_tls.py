"""The node protocol over TLS: calls and streams pass, and a server that cannot be verified is not used."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop

from kit.rpc import Reply
from kit.rpc_client import RpcClient
from kit.rpc_server import Call, RpcServer
from model.errors import NodeUnreachable
from tests.support.certificates import tls_contexts

KEY = bytes(32)


async def count(call: Call) -> Reply:
    total = 0
    async for chunk in call.chunks():
        total += len(chunk)
    return Reply(total, call.body)


async def exchange(folder: Path) -> None:
    server_context, client_context = tls_contexts(folder)
    server = RpcServer({"count": count}, KEY, name="server", ssl_context=server_context)
    address = await server.listen("tcp:127.0.0.1:0")
    client = RpcClient(address, KEY, name="client", ssl_context=client_context)
    assert (await client.call("count", None, b"x" * 2_000_000, deadline_ms=10_000)).body == b"x" * 2_000_000
    stream = await client.open_stream("count", None, deadline_ms=10_000)
    for _ in range(30):
        await stream.send(b"y" * 100_000)
    assert (await stream.finish()).head == 3_000_000
    stranger = RpcClient(address, KEY, name="client", ssl_context=ssl.create_default_context())
    with pytest.raises(NodeUnreachable, match="certificate"):
        await stranger.call("count", None, deadline_ms=10_000)
    await stranger.close()
    await client.close()
    await server.close()


def test_calls_pass_over_tls_and_only_to_a_server_that_is_trusted(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(exchange(tmp_path), 20))
