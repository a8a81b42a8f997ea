"""Large bodies stream through a colony: little memory whatever their size, and nothing left of broken ones.

COLONNADE_LARGE_GIB sets the size of the large ones. They are stored three times.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import swiftclient
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.support.colony import Colony
from tests.support.memory import MemoryWatch, open_file_count, unnamed_file_bytes
from tests.support.streams import PIECE_BYTES, GeneratedBody

MIB = 1 << 20
LARGE_BYTES = int(float(os.environ.get("COLONNADE_LARGE_GIB", "1")) * (1 << 30))
GROWTH_BYTES_MAX = 64 * MIB
PART_BYTES = 8 * MIB
PARTS_COUNT = 20
WAIT_S = 60.0
CLIENT_S = 900.0

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def colony(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Colony]:
    """A colony whose processes nobody else makes grow."""
    with Colony(tmp_path_factory.mktemp("large") / "data") as colony:
        client = s3_of(colony)
        client.create_bucket(Bucket="large")
        # What is loaded and cached at first use is not the cost of a request.
        for number in range(8):
            client.put_object(Bucket="large", Key="first", Body=bytes(4 * MIB + number))
            client.get_object(Bucket="large", Key="first")["Body"].read()
        client.delete_object(Bucket="large", Key="first")
        yield colony


def s3_of(colony: Colony) -> Any:
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=CLIENT_S)
    return boto3.client(
        "s3",
        endpoint_url=colony.s3_endpoint,
        aws_access_key_id=colony.access_key,
        aws_secret_access_key=colony.secret_key,
        region_name="us-east-1",
        config=config,
    )


def processes(colony: Colony) -> dict[int, str]:
    """Return names of the processes on the data path, by process id."""
    pids = colony.pids
    return {
        pid: f"{role}-{index}" for role in ("proxy", "objectd") for index, pid in enumerate(pids[role], 1)
    }


class Target:
    """An object as plain HTTP sees it: where it is, and the headers that open it."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.address = urlsplit(url)
        self.path = f"{self.address.path}?{self.address.query}".rstrip("?")
        self.headers = dict(headers)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address.netloc, timeout=CLIENT_S)

    def put(self, body: GeneratedBody) -> Mapping[str, str]:
        """Stream a body; returns the headers of the answer."""
        connection = self.connect()
        try:
            headers = {**self.headers, "Content-Length": str(body.size)}
            connection.request("PUT", self.path, body.pieces(), headers)
            answer = connection.getresponse()
            assert answer.status in (200, 201), answer.read()
            return {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def get(self, **headers: str) -> Generator[bytes, None, None]:
        """Stream the object."""
        connection = self.connect()
        try:
            connection.request("GET", self.path, headers={**self.headers, **headers})
            answer = connection.getresponse()
            assert answer.status in (200, 206), answer.read()
            while piece := answer.read(PIECE_BYTES):
                yield piece
        finally:
            connection.close()

    def status(self) -> int:
        """Ask for one byte and return the status."""
        connection = self.connect()
        try:
            connection.request("GET", self.path, headers={**self.headers, "Range": "bytes=0-0"})
            return connection.getresponse().status
        finally:
            connection.close()


class S3Target(Target):
    """A key of the bucket, by presigned addresses: the payload is unsigned."""

    def __init__(self, colony: Colony, key: str) -> None:
        super().__init__(f"{colony.s3_endpoint}/large/{key}", {})
        self._keys = Credentials(colony.access_key, colony.secret_key)

    def connect(self) -> http.client.HTTPConnection:
        return _SigningConnection(self.address.netloc, self._keys)


class _SigningConnection(http.client.HTTPConnection):
    def __init__(self, netloc: str, keys: Credentials) -> None:
        super().__init__(netloc, timeout=CLIENT_S)
        self._netloc = netloc
        self._keys = keys

    def putrequest(self, method: str, url: str, *rest: Any, **more: Any) -> None:
        request = AWSRequest(method, f"http://{self._netloc}{url}")
        S3SigV4QueryAuth(self._keys, "s3", "us-east-1", expires=3600).add_auth(request)
        signed = urlsplit(request.url)
        super().putrequest(method, f"{signed.path}?{signed.query}", *rest, **more)


def s3_target(colony: Colony, name: str) -> Target:
    return S3Target(colony, name)


def swift_target(colony: Colony, name: str) -> Target:
    url, token = swiftclient.get_auth(colony.swift_auth, colony.swift_user, colony.swift_key)
    return Target(f"{url}/large/{name}", {"X-Auth-Token": token})


both_apis = pytest.mark.parametrize("target_of", [s3_target, swift_target], ids=["s3", "swift"])
TargetOf = Callable[[Colony, str], Target]


@both_apis
def test_a_large_body_passes_in_little_memory(
    colony: Colony, target_of: TargetOf, record_property: Callable[[str, object], None]
) -> None:
    target, body = target_of(colony, "big"), GeneratedBody(LARGE_BYTES)
    begun = time.monotonic()
    with MemoryWatch(processes(colony)) as putting:
        etag = target.put(body)["etag"].strip('"')
    put_s, begun = time.monotonic() - begun, time.monotonic()
    with MemoryWatch(processes(colony)) as getting:
        differs_at = body.differs_at(target.get())
    figures = {
        "bytes": LARGE_BYTES,
        "put_s": round(put_s, 1),
        "get_s": round(time.monotonic() - begun, 1),
        "put_growth_mib": {name: round(grown / MIB, 1) for name, grown in putting.growth_bytes.items()},
        "get_growth_mib": {name: round(grown / MIB, 1) for name, grown in getting.growth_bytes.items()},
    }
    record_property("figures", json.dumps(figures))
    sys.stdout.write(f"{json.dumps(figures)}\n")
    assert differs_at is None
    assert etag == body.md5()
    assert max(putting.growth_bytes.values()) < GROWTH_BYTES_MAX, figures
    assert max(getting.growth_bytes.values()) < GROWTH_BYTES_MAX, figures
    s3_of(colony).delete_object(Bucket="large", Key="big")


@both_apis
def test_a_client_that_goes_away_mid_put_leaves_nothing(colony: Colony, target_of: TargetOf) -> None:
    target = target_of(colony, "broken")
    break_off(colony, target)
    assert target.status() == 404
    assert s3_of(colony).list_objects_v2(Bucket="large", Prefix="broken")["KeyCount"] == 0


@both_apis
def test_a_client_that_goes_away_mid_put_leaves_what_was_there(colony: Colony, target_of: TargetOf) -> None:
    target, kept = target_of(colony, "kept"), GeneratedBody(3 * MIB, seed=2)
    target.put(kept)
    break_off(colony, target)
    assert kept.differs_at(target.get()) is None
    s3_of(colony).delete_object(Bucket="large", Key="kept")


def break_off(colony: Colony, target: Target) -> None:
    """Send half of a body and go away; returns once objectd has freed what it had taken of it."""
    body = GeneratedBody(64 * MIB)
    (objectd,) = colony.pids["objectd"]
    files = open_file_count(objectd)
    connection = target.connect()
    connection.putrequest("PUT", target.path)
    for name, value in {**target.headers, "Content-Length": str(body.size)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    for piece in itertools.islice(body.pieces(), 40):
        connection.send(piece)
    eventually(lambda: unnamed_file_bytes(objectd) > 3 * 16 * MIB)
    connection.close()
    eventually(lambda: unnamed_file_bytes(objectd) == 0)
    eventually(lambda: open_file_count(objectd) <= files)


@both_apis
def test_a_get_that_is_broken_off_frees_what_it_held(colony: Colony, target_of: TargetOf) -> None:
    target, body = target_of(colony, "read"), GeneratedBody(64 * MIB)
    target.put(body)
    # Connections and files are kept open once they have been used, by each of the workers that are met.
    for _ in range(4):
        assert body.differs_at(target.get()) is None
    before = {pid: open_file_count(pid) for pid in processes(colony)}
    for _ in range(8):
        reading = target.get()
        assert next(reading) == body.slice(0, PIECE_BYTES)
        reading.close()
    eventually(lambda: all(open_file_count(pid) <= count for pid, count in before.items()))
    assert body.differs_at(target.get()) is None
    s3_of(colony).delete_object(Bucket="large", Key="read")


def test_a_client_that_stops_reading_holds_little(colony: Colony) -> None:
    target, body = swift_target(colony, "stalled"), GeneratedBody(128 * MIB)
    target.put(body)
    with MemoryWatch(processes(colony)) as watch:
        readers = [target.get() for _ in range(2)]
        for reader in readers:
            assert next(reader) == body.slice(0, PIECE_BYTES)
        # Others are served meanwhile, and who stalled gets the rest.
        assert body.differs_at(target.get()) is None
        for reader in readers:
            held = b"".join(next(reader) for _ in range(8))
            assert held == body.slice(PIECE_BYTES, 8 * PIECE_BYTES)
            reader.close()
    assert max(watch.growth_bytes.values()) < GROWTH_BYTES_MAX, watch.growth_bytes
    s3_of(colony).delete_object(Bucket="large", Key="stalled")


def test_twenty_parts_read_as_one_object_across_their_borders(colony: Colony) -> None:
    s3, body = s3_of(colony), GeneratedBody(PARTS_COUNT * PART_BYTES - 12345)
    named = {"Bucket": "large", "Key": "parts"}
    upload = s3.create_multipart_upload(**named)["UploadId"]
    parts = []
    # Parts may come in any order.
    for number in sorted(range(1, PARTS_COUNT + 1), key=lambda one: one * 7 % 11):
        start = (number - 1) * PART_BYTES
        piece = body.slice(start, min(PART_BYTES, body.size - start))
        put = s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": put["ETag"]})
    parts.sort(key=lambda part: part["PartNumber"])
    with pytest.raises(ClientError) as refused:
        s3.head_object(**named)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})
    for border in range(PART_BYTES, body.size, PART_BYTES):
        start, length = border - 1000, 2000
        found = s3.get_object(**named, Range=f"bytes={start}-{start + length - 1}")["Body"].read()
        assert found == body.slice(start, length)
    wide = s3.get_object(**named, Range=f"bytes={PART_BYTES - 1}-{4 * PART_BYTES}")["Body"].read()
    assert wide == body.slice(PART_BYTES - 1, 3 * PART_BYTES + 2)
    assert body.differs_at(swift_target(colony, "parts").get()) is None
    s3.delete_object(**named)


def test_what_is_deleted_is_freed_on_every_device(colony: Colony) -> None:
    target, body = s3_target(colony, "freed"), GeneratedBody(32 * MIB)
    (objectd,) = colony.pids["objectd"]
    before = large_files(colony)
    target.put(body)
    eventually(lambda: sum(bytes_of(path) for path in large_files(colony) - before) >= 3 * body.size)
    made = large_files(colony) - before
    assert body.differs_at(target.get()) is None
    s3_of(colony).delete_object(Bucket="large", Key="freed")
    eventually(lambda: not made & large_files(colony))
    eventually(lambda: unnamed_file_bytes(objectd) == 0)


def large_files(colony: Colony) -> set[Path]:
    """Return the files of their own that payloads have, on all devices."""
    return {path for path in colony.data.glob("devices/*/large/**/*") if path.is_file()}


def bytes_of(path: Path) -> int:
    """Return the bytes of a file on disk; none where it has just been deleted."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that a daemon does by itself."""
    give_up = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up, "it never came to be"
        time.sleep(0.05)
