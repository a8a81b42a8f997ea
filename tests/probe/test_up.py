"""`colonnade up` makes a colony, keeps it, shows how to use it, and leaves nothing behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import pytest
import swiftclient

from tests.support.colony import Colony
from tests.support.mixed_load import s3_client

# Whole colonies start and stop here, on machines that do much else.
pytestmark = pytest.mark.timeout(300)

WAIT_S = 30.0


def wait_gone(pids: Iterable[int]) -> None:
    give_up = time.monotonic() + WAIT_S
    left = set(pids)
    while left and time.monotonic() < give_up:
        left = {pid for pid in left if _alive(pid)}
        time.sleep(0.02)
    assert not left


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def all_pids(colony: Colony) -> list[int]:
    return [pid for pids in colony.pids.values() for pid in pids]


def test_a_colony_keeps_everything_from_one_start_to_the_next(tmp_path: Path) -> None:
    colony = Colony(tmp_path / "data")
    with colony:
        before = colony.endpoints
        s3 = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key)
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a/b", Body=b"bytes", Metadata={"colour": "blue"})
        s3.put_object(Bucket="kept", Key="large", Body=b"x" * 3_000_000)
        pids = all_pids(colony)
    wait_gone(pids)
    assert not (colony.data / "run" / "endpoints.json").exists()
    with colony:
        after = colony.endpoints
        s3 = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key)
        found = s3.get_object(Bucket="kept", Key="a/b")
        assert found["Body"].read() == b"bytes"
        assert found["Metadata"] == {"colour": "blue"}
        assert s3.get_object(Bucket="kept", Key="large")["Body"].read() == b"x" * 3_000_000
        names = [item["name"] for item in _swift(colony).get_container("kept")[1]]
        assert names == ["a/b", "large"]
    for name in ("s3", "swift", "access_key", "secret_key", "swift_user", "swift_key"):
        assert before[name] == after[name]


def _swift(colony: Colony) -> swiftclient.Connection:
    return swiftclient.Connection(authurl=colony.swift_auth, user=colony.swift_user, key=colony.swift_key)


def test_the_secrets_are_printed_at_the_first_start_alone(tmp_path: Path) -> None:
    output = tmp_path / "data.output"
    colony = Colony(tmp_path / "data")
    with colony:
        secret = colony.secret_key
        first = _printed(output, "Ctrl-C stops it")
        assert secret in first
        assert stat.S_IMODE((colony.data / "run" / "endpoints.json").stat().st_mode) == 0o600
    output.unlink()
    with colony:
        second = _printed(output, "Ctrl-C stops it")
        assert colony.s3_endpoint in second
        assert colony.swift_auth in second
        assert secret not in second
        assert secret in colony.command("env").stdout


def _printed(path: Path, mark: str) -> str:
    give_up = time.monotonic() + WAIT_S
    while mark not in (text := path.read_text()):
        assert time.monotonic() < give_up, text
        time.sleep(0.02)
    return text


def test_what_dies_is_started_again_and_serves(tmp_path: Path) -> None:
    with Colony(tmp_path / "data") as colony:
        s3 = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key, attempts=4)
        s3.create_bucket(Bucket="bucket")
        for role in ("objectd", "proxy"):
            s3.put_object(Bucket="bucket", Key=role, Body=role.encode())
            count = len(colony.pids[role])
            colony.wait_revived(role, colony.kill(role), count=count)
            assert s3.get_object(Bucket="bucket", Key=role)["Body"].read() == role.encode()
        status = json.loads(colony.command("status", "--json").stdout)
        assert status["healthy"]
        assert {row["name"]: row["restarts"] for row in status["supervisors"][0]["processes"]}["objectd"] == 1


def test_every_process_ends_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    colony = Colony(tmp_path / "data")
    colony.start()
    pids = all_pids(colony)
    colony.kill("supervisor")
    wait_gone(pids)
    colony.stop()
    with colony:
        assert get(f"{colony.s3_endpoint}/healthz")[0] == 200


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    colony = Colony(tmp_path / "data")
    colony.start()
    pids = all_pids(colony)
    (supervisor,) = colony.pids["supervisor"]
    for pid in colony.pids["proxy"]:
        # A process that hangs: only SIGKILL ends it.
        os.kill(pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGINT)
    time.sleep(0.2)
    os.kill(supervisor, signal.SIGINT)
    wait_gone(pids)
    colony.stop()


def test_a_second_supervisor_on_the_same_folder_is_refused(colony: Colony) -> None:
    refused = colony.command("up", check=False)
    assert refused.returncode == 3
    assert "another supervisor" in refused.stderr
    assert "colonnade stop" in refused.stderr
    assert get(f"{colony.s3_endpoint}/healthz")[0] == 200


def test_a_busy_port_is_refused_with_a_mend(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "colonnade", "up", "--data", str(tmp_path / "data"), "--port", port]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in refused.stderr
    assert "--port" in refused.stderr


def test_a_folder_without_a_colony_says_so(tmp_path: Path) -> None:
    for command in ("status", "restart", "stop", "env"):
        arguments = [sys.executable, "-m", "colonnade", command, "--data", str(tmp_path), "--json"]
        refused = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode == 3
        assert "holds no colony" in json.loads(refused.stderr)["error"]


def test_the_admin_endpoints_tell_figures_and_health(colony: Colony) -> None:
    s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key).list_buckets()
    assert get(f"{colony.s3_endpoint}/readyz")[0] == 200
    admin = colony.endpoints["admin"]
    assert set(admin) >= {"proxy-1", "proxy-2"}
    counted = 0
    for url in admin.values():
        assert get(f"{url}/healthz")[0] == 200
        status, text = get(f"{url}/metrics")
        assert status == 200
        counted += text.count(b'colonnade_requests_total{api="s3",method="GET",status="200"}')
    assert counted >= 1


def test_status_shows_devices_nodes_and_processes(colony: Colony) -> None:
    text = colony.command("status").stdout
    assert "healthy" in text
    for word in ("d1", "d4", "node-1", "objectd", "proxy-1", "running", "ring version 1"):
        assert word in text


def test_an_access_log_line_bears_the_request_id_that_the_client_got(colony: Colony) -> None:
    answer = s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key).list_buckets()
    request_id = answer["ResponseMetadata"]["RequestId"]
    give_up = time.monotonic() + WAIT_S
    lines: list[str] = []
    while not lines:
        assert time.monotonic() < give_up
        for path in (colony.data / "log").glob("proxy-*.log"):
            lines += [line for line in path.read_text().splitlines() if request_id in line]
    logged = json.loads(lines[0])
    assert (logged["method"], logged["path"], logged["status"]) == ("GET", "/", 200)
    assert logged["user"] == colony.swift_user


@pytest.mark.parametrize("arguments", [("config", "check"), ("config", "show"), ("user", "list")])
def test_commands_answer_in_json(colony: Colony, arguments: tuple[str, ...]) -> None:
    json.loads(colony.command(*arguments, "--json").stdout)
