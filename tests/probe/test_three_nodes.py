"""A colony of several nodes serves with one of them stopped, takes it back, and takes new ones in."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.colony import Colony
from tests.support.mixed_load import s3_client

# Whole colonies start and stop here, on machines that do much else.
pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0


def test_three_nodes_serve_with_any_one_stopped_and_take_it_back(tmp_path: Path) -> None:
    with Colony(tmp_path / "data", nodes=3, devices=1, workers=1) as colony:
        keys = [colony.endpoints_of(node) for node in (1, 2, 3)]
        clients = [s3_client(k["s3"], k["access_key"], k["secret_key"], attempts=4) for k in keys]
        clients[0].create_bucket(Bucket="shared")
        for number in range(30):
            clients[number % 3].put_object(Bucket="shared", Key=f"before/{number:03}", Body=b"1" * 3000)
        colony.stop_node(2)
        for number in range(30):
            body = clients[2].get_object(Bucket="shared", Key=f"before/{number:03}")["Body"].read()
            assert body == b"1" * 3000
            clients[2 * (number % 2)].put_object(Bucket="shared", Key=f"during/{number:03}", Body=b"2" * 3000)
        clients[0].delete_object(Bucket="shared", Key="before/000")
        status = json.loads(colony.command("status", "--json", check=False).stdout)
        assert not status["healthy"]
        assert any("node-2" in problem for problem in status["problems"])
        colony.start_node(2)
        for client in clients:
            listed = client.list_objects_v2(Bucket="shared")["Contents"]
            assert len(listed) == 59
            assert client.get_object(Bucket="shared", Key="during/029")["Body"].read() == b"2" * 3000


def test_one_command_stops_all_nodes_and_whoever_keeps_them(tmp_path: Path) -> None:
    colony = Colony(tmp_path / "data", nodes=3, devices=1, workers=1)
    colony.start()
    pids = [pid for node in (1, 2, 3) for found in colony.pids_of(node).values() for pid in found]
    colony.command("stop")
    colony.wait_ended()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_node_joins_over_tcp_and_serves_what_was_there(tmp_path: Path) -> None:
    with Colony(tmp_path / "one", devices=3, workers=1) as colony:
        s3 = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key)
        s3.create_bucket(Bucket="shared")
        s3.put_object(Bucket="shared", Key="old", Body=b"before")
        joined = tmp_path / "two"
        command = [sys.executable, "-m", "colonnade", "node", "--data", str(joined), "--name", "second"]
        command += ["--join", str(colony.endpoints["join"]), "--devices", "2", "--workers", "1"]
        command += ["--cluster-key", str(colony.data / "cluster.key"), "--die-with", str(os.getpid())]
        with open(tmp_path / "two.output", "wb") as output:
            popen = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            endpoints = _wait_for(joined, popen)
            there = s3_client(endpoints["s3"], colony.access_key, colony.secret_key, attempts=4)
            assert there.get_object(Bucket="shared", Key="old")["Body"].read() == b"before"
            there.put_object(Bucket="shared", Key="new", Body=b"after")
            assert s3.get_object(Bucket="shared", Key="new")["Body"].read() == b"after"
            status = json.loads(colony.command("status", "--json", check=False).stdout)
            assert status["ring"]["version"] == 2
            assert [node["name"] for node in status["nodes"]] == ["node-1", "second"]
            assert all(node["up"] for node in status["nodes"])
        finally:
            popen.terminate()
            popen.wait(WAIT_S)


def _wait_for(data: Path, popen: subprocess.Popen[bytes]) -> dict[str, str]:
    path = data / "run" / "endpoints.json"
    give_up = time.monotonic() + WAIT_S
    while not path.exists():
        assert popen.poll() is None, data.with_name("two.output").read_text()
        assert time.monotonic() < give_up, data.with_name("two.output").read_text()
        time.sleep(0.02)
    found: dict[str, str] = json.loads(path.read_text())
    return found
