"""While the ring changes under load, clients see no error and no stale byte; then old homes hold nothing.

The writers keep a model of what they were told (tests/support/history.py) and try nothing twice.
COLONNADE_LOAD_KEYS sets how many objects are there before the change (default 60).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ring import loader
from tests.support.colony import Colony
from tests.support.history import Findings
from tests.support.in_step import wait_in_step
from tests.support.mixed_load import Writer, s3_client
from tests.support.programs import require_program

# Whole colonies start and stop here, on machines that do much else.
pytestmark = pytest.mark.timeout(400)

SEED = int(os.environ.get("COLONNADE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
KEYS = int(os.environ.get("COLONNADE_LOAD_KEYS", "60"))
SETTLE_S = 150.0
WAIT_S = 60.0
BUCKET = "load"


class Load:
    """Writers at work on a colony, each through one endpoint, reading through all of them."""

    def __init__(self, clients: Sequence[Any]) -> None:
        self.findings = Findings()
        self._stop = threading.Event()
        clients[0].create_bucket(Bucket=BUCKET)
        self.writers = [
            Writer(client, BUCKET, number, SEED, self.findings, self._stop, readers=clients)
            for number, client in enumerate(clients)
        ]
        chance = random.Random(SEED)
        for number in range(KEYS):
            self.writers[number % len(self.writers)].put(chance)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work until the block ends."""
        for writer in self.writers:
            writer.start()
        try:
            yield
        finally:
            self._stop.set()
            for writer in self.writers:
                writer.join(WAIT_S)

    def wait_busy(self, more: int) -> None:
        """Wait until so many more objects were written."""
        until = self.findings.counts.get("put", 0) + more
        give_up = time.monotonic() + WAIT_S
        while self.findings.counts.get("put", 0) < until:
            assert time.monotonic() < give_up, self.findings.counts
            time.sleep(0.05)

    def check(self) -> None:
        """Compare everything with the model, and look for errors that a client saw."""
        assert not any(writer.is_alive() for writer in self.writers), f"seed {SEED}: a request never ended"
        for writer in self.writers:
            writer.check_all()
        failed = {what: count for what, count in self.findings.counts.items() if "failed" in what}
        assert not failed, f"seed {SEED}: {failed}"
        assert not self.findings.violations, f"seed {SEED}: {self.findings.violations[:20]}"


def wait_settled(colony: Colony, version: int) -> float:
    """Wait until no partition changes its homes any more; return the seconds it took."""
    began = time.monotonic()
    while True:
        told = json.loads(colony.command("status", "--json", check=False).stdout)
        ring = told["ring"]
        if ring["version"] == version and ring["phase"] == "settled":
            return time.monotonic() - began
        assert time.monotonic() < began + SETTLE_S, f"seed {SEED}: {ring}, {told['replicators']}"
        time.sleep(0.2)


def ringctl(colony: Colony, *arguments: str) -> None:
    command = [require_program("ringctl"), *arguments, "--ring", str(colony.data / "colony.ring")]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)


@contextmanager
def joined(colony: Colony, data: Path) -> Iterator[None]:
    """Have a further node of one device join a colony; it runs until the block ends."""
    command = [sys.executable, "-m", "colonnade", "node", "--data", str(data), "--devices", "1"]
    command += ["--join", str(colony.endpoints["join"]), "--cluster-key", str(colony.data / "cluster.key")]
    command += ["--workers", "1", "--die-with", str(os.getpid())]
    with open(data.with_name(f"{data.name}.output"), "wb") as output:
        popen = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
        assert popen.poll() is None, data.with_name(f"{data.name}.output").read_text()
    finally:
        popen.terminate()
        popen.wait(WAIT_S)


def assert_in_step(folder: Path, version: int) -> float:
    differing, seconds = wait_in_step(folder, seconds=SETTLE_S, version=version)
    assert not differing, f"seed {SEED}: after {seconds:.0f} s: {differing[:20]}"
    return seconds


def test_a_device_is_added_and_another_drained_under_load(tmp_path: Path) -> None:
    with Colony(tmp_path / "one") as colony:
        keys = (colony.s3_endpoint, colony.access_key, colony.secret_key)
        load = Load([s3_client(*keys) for _ in range(3)])
        address = next(iter(loader.load(colony.data / "colony.ring").devices.values())).address
        with load.running():
            load.wait_busy(20)
            (colony.data / "devices" / "d5").mkdir()
            ringctl(colony, "add", "r1/z1/node-1/d5", "--node", "node-1", "--address", address)
            ringctl(colony, "drain", "r1/z1/node-1/d2")
            ringctl(colony, "rebalance")
            colony.command("ring", "push")
            settled = wait_settled(colony, version=2)
            load.wait_busy(20)
        load.check()
        in_step = assert_in_step(colony.data, version=2)
        load.check()
        told = f"settled after {settled:.1f} s, in step {in_step:.1f} s later"
        print(f"seed {SEED}: {told}, {load.findings.counts}")


def test_a_node_joins_three_under_load(tmp_path: Path) -> None:
    with Colony(tmp_path / "three", nodes=3, devices=1, workers=1) as colony:
        of_nodes = [colony.endpoints_of(node) for node in (1, 2, 3)]
        load = Load([s3_client(one["s3"], one["access_key"], one["secret_key"]) for one in of_nodes])
        with joined(colony, tmp_path / "fourth"):
            with load.running():
                settled = wait_settled(colony, version=2)
                load.wait_busy(20)
            load.check()
            in_step = assert_in_step(colony.data, version=2)
            load.check()
        told = f"settled after {settled:.1f} s, in step {in_step:.1f} s later"
        print(f"seed {SEED}: {told}, {load.findings.counts}")
