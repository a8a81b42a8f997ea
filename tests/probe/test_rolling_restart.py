"""Replacing every process of a colony under load fails no request."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.colony import Colony
from tests.support.mixed_load import s3_client

CLIENTS = 4
# Whole colonies start and stop here, on machines that do much else.
pytestmark = pytest.mark.timeout(300)

WAIT_S = 90.0


class Load(threading.Thread):
    """One client that writes, reads, lists and deletes without pause and without a second try."""

    def __init__(self, client: Any, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.number = number
        self.stop = stop
        self.done = 0
        self.failures: list[str] = []

    def run(self) -> None:
        """Work until told to stop, and note what went wrong."""
        while not self.stop.is_set():
            try:
                self.turn()
            except (BotoCoreError, ClientError, AssertionError) as error:
                self.failures.append(f"turn {self.done}: {error!r}")
            self.done += 1

    def turn(self) -> None:
        """Store one object and see it everywhere it should be."""
        key = f"{self.number}/{self.done:06}"
        body = os.urandom(2_000_000 if self.done % 10 == 0 else 2_000)
        self.client.put_object(Bucket="load", Key=key, Body=body)
        assert self.client.get_object(Bucket="load", Key=key)["Body"].read() == body
        listed = self.client.list_objects_v2(Bucket="load", Prefix=key)
        assert [item["Key"] for item in listed["Contents"]] == [key]
        if self.done % 3 == 0:
            self.client.delete_object(Bucket="load", Key=key)


def wait_until(what: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_rolling_restart_of_every_process_under_load_fails_no_request(tmp_path: Path) -> None:
    stop = threading.Event()
    with Colony(tmp_path / "data") as colony:
        keys = (colony.s3_endpoint, colony.access_key, colony.secret_key)
        s3_client(*keys).create_bucket(Bucket="load")
        loads = [Load(s3_client(*keys), number, stop) for number in range(CLIENTS)]
        for load in loads:
            load.start()
        wait_until(lambda: all(load.done >= 3 for load in loads))
        before = colony.pids
        done = colony.command("restart")
        assert "objectd" in done.stdout
        at_restart = [load.done for load in loads]
        assert colony.pids["supervisor"] == before["supervisor"]
        for role in ("objectd", "proxy"):
            assert not set(colony.pids[role]) & set(before[role])
        again = colony.pids
        os.kill(again["supervisor"][0], signal.SIGHUP)
        wait_until(
            lambda: not any(set(colony.pids[role]) & set(again[role]) for role in ("objectd", "proxy"))
        )
        wait_until(lambda: all(load.done > at + 2 for load, at in zip(loads, at_restart, strict=True)))
        stop.set()
        for load in loads:
            load.join(WAIT_S)
    assert not [failure for load in loads for failure in load.failures]
