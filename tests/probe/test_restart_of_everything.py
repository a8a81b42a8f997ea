"""A colony that ends under load, cleanly or by SIGKILL, has all that it acknowledged when it starts again."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.colony import Colony
from tests.support.history import Findings
from tests.support.in_step import wait_in_step
from tests.support.mixed_load import Writer, s3_client

# Whole colonies start and stop here, on machines that do much else.
pytestmark = pytest.mark.timeout(300)

SEED = int(os.environ.get("COLONNADE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
LOAD_S = 1.5
WAIT_S = 60.0
HEAL_S = 90.0
BUCKET = "kept"


def pids_of(colony: Colony) -> list[int]:
    return [pid for pids in colony.pids.values() for pid in pids]


def wait_gone(pids: Iterable[int]) -> None:
    give_up = time.monotonic() + WAIT_S
    while left := [pid for pid in pids if _alive(pid)]:
        assert time.monotonic() < give_up, left
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def client_of(colony: Colony) -> Any:
    return s3_client(colony.s3_endpoint, colony.access_key, colony.secret_key)


def check_all(colony: Colony, writers: Iterable[Writer], findings: Findings) -> None:
    for writer in writers:
        writer.client = client_of(colony)
        writer.check_all()
    assert not findings.violations, f"seed {SEED}: {findings.violations[:20]}"


def stop(colony: Colony) -> None:
    colony.stop()


def kill_supervisor(colony: Colony) -> None:
    pids = pids_of(colony)
    colony.kill("supervisor")
    wait_gone(pids)
    colony.stop()


def kill_everything(colony: Colony) -> None:
    pids = pids_of(colony)
    for pid in pids:
        # The supervisor is the last, so that it starts nobody again.
        if pid not in colony.pids["supervisor"]:
            os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_gone(pids)
    colony.stop()


ENDS: tuple[Callable[[Colony], None], ...] = (stop, kill_supervisor, kill_everything)


def test_a_colony_keeps_what_it_acknowledged_however_it_ends(tmp_path: Path) -> None:
    findings = Findings()
    colony = Colony(tmp_path / "data")
    writers: list[Writer] = []
    for number, end in enumerate(ENDS):
        with colony:
            check_all(colony, writers, findings)
            if not number:
                client_of(colony).create_bucket(Bucket=BUCKET)
            leaving = threading.Event()
            numbers = (2 * number, 2 * number + 1)
            fresh = [Writer(client_of(colony), BUCKET, one, SEED, findings, leaving) for one in numbers]
            for writer in fresh:
                writer.start()
            leaving.wait(LOAD_S)
            end(colony)
            leaving.set()
            for writer in fresh:
                writer.join(WAIT_S)
                assert not writer.is_alive(), f"seed {SEED}: a request never ended"
            writers += fresh
    with colony:
        check_all(colony, writers, findings)
        differing, seconds = wait_in_step(colony.data, seconds=HEAL_S)
        assert not differing, f"seed {SEED}: after {seconds:.0f} s: {differing[:20]}"
        check_all(colony, writers, findings)
    assert findings.counts.get("put", 0) > 0
    print(f"seed {SEED}: {findings.counts}")
