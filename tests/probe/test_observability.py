"""What operators and their tools see of a running colony: figures, readiness, logs, and repair under way."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from colonnade.folder import open_folder
from colonnade.status import gather_status
from tests.support.colony import Colony
from tests.support.in_step import wait_in_step
from tests.support.many_names import add_names

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
WAIT_S = 30.0
POLL_S = 0.05
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", re.MULTILINE)


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def until(claim: Callable[[], Any], words: str) -> Any:
    give_up = time.monotonic() + WAIT_S
    while not (found := claim()):
        assert time.monotonic() < give_up, words
        time.sleep(POLL_S)
    return found


def metrics_of(url: str) -> Iterator[tuple[str, Metric]]:
    """The families that a process serves, by the name that a query uses."""
    for family in text_string_to_metric_families(get(f"{url}/metrics")[1].decode()):
        yield family.name + ("_total" if family.type == "counter" else ""), family


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def signed_in(colony: Colony) -> tuple[http.client.HTTPConnection, str, str]:
    """A connection to the Swift API with the path of the account and a token."""
    parts = urlsplit(colony.swift_auth)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
    connection.request(
        "GET", parts.path, headers={"X-Auth-User": colony.swift_user, "X-Auth-Key": colony.swift_key}
    )
    answer = connection.getresponse()
    answer.read()
    return connection, urlsplit(answer.headers["X-Storage-Url"]).path, answer.headers["X-Auth-Token"]


def send(colony: Colony, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    """Send one Swift request; return its status and the id under which it was served."""
    connection, account, token = signed_in(colony)
    connection.request(method, account + path, body, {"X-Auth-Token": token})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["X-Trans-Id"]


def test_the_page_lists_every_metric_with_its_type_and_labels(colony: Colony) -> None:
    send(colony, "PUT", "/figures")
    send(colony, "PUT", "/figures/one", b"1")
    written = {
        name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in _ROW.findall(PAGE.read_text())
    }
    served = [one for url in colony.endpoints["admin"].values() for one in metrics_of(url)]
    assert {name for name, _ in served} == set(written)
    for name, family in served:
        kind, labels = written[name]
        assert family.type == kind, name
        assert labels_of(family) == labels or not family.samples, name


def test_names_and_help_keep_to_the_conventions_of_prometheus(colony: Colony) -> None:
    for url in colony.endpoints["admin"].values():
        for name, family in metrics_of(url):
            assert family.documentation.endswith("."), name
            assert not re.search(r"_(ms|us|mib|kb|percent)(_|$)", name), name
            if family.type != "counter":
                assert not re.search(r"_(total|count|sum|bucket|created)$", name), name


def test_what_clients_invent_makes_no_new_series(colony: Colony) -> None:
    def series() -> int:
        found = [one for url in colony.endpoints["admin"].values() for one in metrics_of(url)]
        return sum(len(family.samples) for _, family in found)

    # Both workers have to have met each kind of request, whoever accepts a connection.
    for _ in range(10):
        send(colony, "INVENTED", "/c0/o0")
        send(colony, "GET", "/c0/o0")
    before = series()
    for index in range(30):
        send(colony, f"INVENTED{index}", f"/c{index}/o{index}?q{index}=1")
        send(colony, "GET", f"/c{index}/o{index}")
    # One worker that met one of the two for the first time: a counter, and a histogram's samples.
    assert series() - before <= 2 * 20


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Colony]:
    """A colony whose objectd logs every call and whose replicator is slow."""
    with Colony(tmp_path_factory.mktemp("observed") / "data") as colony:
        with (colony.data / "colonnade.toml").open("a") as settings:
            settings.write("\n[logging]\nslow_call_ms = 0\n\n[replicator]\nbandwidth_bytes_per_s = 200_000\n")
        colony.command("restart")
        yield colony


def test_a_request_id_follows_through_the_logs_of_proxy_and_objectd(observed: Colony) -> None:
    send(observed, "PUT", "/followed")
    _, put_id = send(observed, "PUT", "/followed/object", b"bytes")
    _, get_id = send(observed, "GET", "/followed/object")
    _, list_id = send(observed, "GET", "/followed")

    def lines(request_id: str) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in (observed.data / "log").glob("*.log")]
        found = [json.loads(line) for text in texts for line in text.splitlines() if request_id in line]
        return [line for line in found if line["request_id"] == request_id]

    for request_id, op in ((put_id, "commit"), (get_id, "read"), (list_id, "rows")):

        def complete(request_id: str = request_id, op: str = op) -> bool:
            found = lines(request_id)
            called = {line.get("op") for line in found if line["role"] == "objectd"}
            return op in called and any(line["event"] == "request" for line in found)

        until(complete, f"{op} of {request_id} is not in the logs: {lines(request_id)}")


def test_a_proxy_is_not_ready_without_a_majority_and_is_again_with_it(observed: Colony) -> None:
    proxy = observed.endpoints["admin"]["proxy-1"]
    (objectd,) = observed.pids["objectd"]
    until(lambda: get(f"{proxy}/readyz")[0] == 200, "not ready at first")
    os.kill(objectd, signal.SIGSTOP)
    try:
        until(lambda: get(f"{proxy}/readyz")[0] == 503, "ready though no node answers")
        assert b"node-1" in get(f"{proxy}/readyz")[1]
        assert get(f"{proxy}/healthz")[0] == 200
    finally:
        os.kill(objectd, signal.SIGCONT)
    until(lambda: get(f"{proxy}/readyz")[0] == 200, "not ready though the node answers again")


def test_status_shows_the_device_that_is_filled_what_is_left_and_until_when(observed: Colony) -> None:
    send(observed, "PUT", "/many")
    account = observed.swift_user.partition(":")[0]
    for index in range(12):
        send(observed, "PUT", f"/many{index}")
        add_names(observed.data, account, f"many{index}", (f"name-{at:05}" for at in range(1_500)))
    assert wait_in_step(observed.data, seconds=60)[0] == []
    folder = observed.data / "devices" / "d2"
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    found = until(lambda: _filling(observed), "status never showed the device, the queue and an end")
    (device,) = found
    assert device["name"].endswith("d2")
    assert wait_in_step(observed.data, seconds=120)[0] == []
    until(lambda: "filling" not in observed.command("status", check=False).stdout, "it is filled")


def _filling(colony: Colony) -> list[dict[str, Any]]:
    """The devices that status says are being filled, once it shows a queue and a time for it too."""
    status = asyncio.run(gather_status(open_folder(colony.data)))
    (replicator,) = status["replicators"] or [{}]
    if not replicator.get("partitions_left") or not replicator.get("eta_s"):
        return []
    return [device for node in status["nodes"] for device in node["devices"] if device.get("filling")]


def test_status_can_be_watched_by_people_and_by_programs(observed: Colony) -> None:
    command = [sys.executable, "-m", "colonnade", "status", "--watch", "--json", "--data", str(observed.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        shown = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(WAIT_S) == 0
    assert shown[0]["gathered_ms"] < shown[1]["gathered_ms"]
    assert {
        device["name"].rpartition("/")[2] for node in shown[0]["nodes"] for device in node["devices"]
    } == {
        "d1",
        "d2",
        "d3",
        "d4",
    }
