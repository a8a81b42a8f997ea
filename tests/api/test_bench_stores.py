"""Claims about the stores that a benchmark starts: found by their endpoints file, ended to the last child."""

import os
import sys
from pathlib import Path

import pytest

from bench import colony_store
from bench.cpu import cost_between, process_tree, read_cpu
from bench.processes import ProcessGroup, StoreFailed, free_ports, listens
from bench.workload import Api

# Does what `colonnade up` promises: serve, then write DATA/run/endpoints.json; with a worker of its own.
_COLONY = r"""
import http.server, json, os, pathlib, subprocess, sys
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
assert sys.argv[1] == "up" and sys.argv[sys.argv.index("--devices") + 1] == "4"
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Auth-Token", self.headers["X-Auth-User"] + self.headers["X-Auth-Key"])
        self.send_header("X-Storage-Url", "http://" + self.headers["Host"] + "/v1/AUTH_x")
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
base = f"http://127.0.0.1:{server.server_address[1]}"
found = {"s3": base, "swift": base + "/auth/v1.0", "access_key": "a", "secret_key": "s"}
found |= {"swift_user": "u:", "swift_key": "k", "pids": {"worker": worker.pid}}
(data / "run").mkdir(parents=True)
(data / "run" / "endpoints.json").write_text(json.dumps(found))
server.serve_forever()
"""


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_colony_is_found_by_its_endpoints_file_and_ended_with_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "colonnade.py"
    program.write_text(_COLONY)
    monkeypatch.setattr(colony_store, "_program", lambda: [sys.executable, str(program)])
    store = colony_store.start(tmp_path / "data")
    pids = [stat.pid for stat in process_tree(store.server_pids)]
    try:
        assert len(pids) == 2
        assert store.endpoint(Api.SWIFT).base_path == "/v1/AUTH_x"
        assert "u:k" in repr(store.endpoint(Api.SWIFT).credentials)
        assert store.endpoint(Api.S3).authority == store.endpoint(Api.SWIFT).authority
    finally:
        store.stop()
    assert [pid for pid in pids if alive(pid)] == []


def test_a_store_that_ends_at_its_start_tells_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no room on the disk')"]
    monkeypatch.setattr(colony_store, "_program", lambda: command)
    with pytest.raises(StoreFailed, match="no room on the disk"):
        colony_store.start(tmp_path / "data")


def test_the_cpu_of_a_worker_that_ended_stays_counted(tmp_path: Path) -> None:
    spin = "sum(i for i in range(3_000_000))"
    parent = f"""if True:
        import subprocess, sys, time
        subprocess.run([sys.executable, "-c", {spin!r}])
        open({str(tmp_path / "done")!r}, "w").close()
        time.sleep(600)
    """
    group = ProcessGroup(tmp_path / "log")
    before = read_cpu([os.getpid()])
    group.start("parent", [sys.executable, "-c", parent])
    try:
        group.wait_until((tmp_path / "done").exists, what="the worker", timeout_s=60)
        after = read_cpu([os.getpid()])
    finally:
        group.stop()
    assert cost_between(before, after).cpu_us >= 30_000
    assert set(before.pids) < set(after.pids)


def test_free_ports_are_distinct_and_silent() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(listens(port) for port in ports)
