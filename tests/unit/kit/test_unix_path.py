"""Nodes are reached by unix sockets however long the path of their folder is."""

import asyncio
from pathlib import Path

from kit.rpc import Reply
from kit.rpc_client import RpcClient
from kit.rpc_server import RpcServer
from kit.unix_path import SUN_PATH_BYTES_MAX, short_path

KEY = b"k" * 32


def test_a_short_path_is_left_as_it_is() -> None:
    with short_path("/run/a.sock") as path:
        assert path == "/run/a.sock"


def test_a_node_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    address = f"unix:{folder / 'node.sock'}"
    assert len(address) > SUN_PATH_BYTES_MAX

    async def run() -> object:
        server = RpcServer({"ask": lambda call: Reply(call.args)}, KEY, name="server")
        await server.listen(address)
        client = RpcClient(address, KEY, name="client")
        reply = await client.call("ask", 42, deadline_ms=10_000)
        await client.close()
        await server.close()
        return reply.head

    assert asyncio.run(run()) == 42
