"""A load of real S3 clients on a bucket with versions that checks all it reads against a model."""

from __future__ import annotations

import hashlib
import random
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from tests.support.history import Findings, digest_of
from tests.support.version_history import MARKER, Gone, Listed, Version, VersionHistory

KEYS = 25
SIZES = (16, 16, 100, 4096, 4096, 4096, 65536, 300_000)
LARGE_BYTES = 3 << 20
PART_BYTES = 5 << 20
REFUSED = ("PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict")
"""The errors of a write that did nothing and never will."""
ABSENT = ("NoSuchKey", "NoSuchVersion")
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def code_of(error: Exception) -> str:
    """Return S3's code of an error, or its kind where no answer came."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else type(error).__name__


def _keep_order(http_response: Any, parsed: dict[str, Any], **_: object) -> None:
    """Add to a page its versions and markers as they came, which botocore sorts into two lists."""
    if http_response.status_code != 200:
        return
    parsed["InOrder"] = [
        {child.tag.removeprefix(NAMESPACE): child.text or "" for child in one}
        for one in ET.fromstring(http_response.content)
        if one.tag in (f"{NAMESPACE}Version", f"{NAMESPACE}DeleteMarker")
    ]


@dataclass
class VersionsWriter(threading.Thread):
    """One client that owns a prefix of a bucket with versions and works on it until told to stop."""

    client: Any
    bucket: str
    number: int
    seed: int
    findings: Findings
    stop: threading.Event
    histories: dict[str, VersionHistory] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        super().__init__(name=f"versions-writer-{self.number}", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    @property
    def prefix(self) -> str:
        """The names this writer owns."""
        return f"v{self.number:02}/"

    def run(self) -> None:
        """Work until told to stop."""
        chance = random.Random(self.seed * 1000 + self.number)
        acts: dict[Callable[[random.Random], None], int] = {
            self.put: 30,
            self.put_large: 3,
            self.put_parts: 3,
            self.put_if_match: 10,
            self.put_if_none: 7,
            self.delete: 11,
            self.delete_version: 15,
            self.get: 8,
            self.get_version: 10,
            self.list_versions: 3,
        }
        while not self.stop.is_set():
            act = chance.choices(tuple(acts), tuple(acts.values()))[0]
            try:
                act(chance)
            except (BotoCoreError, ClientError) as error:
                self.findings.count(f"{act.__name__} failed: {code_of(error)}")
            else:
                self.findings.count(act.__name__)

    # Writes.

    def put(self, chance: random.Random) -> None:
        """Write a small body under a key."""
        key, history = self._pick(chance)
        self._put(key, history, chance.randbytes(chance.choice(SIZES)))

    def put_large(self, chance: random.Random) -> None:
        """Write a body that is stored by itself."""
        key, history = self._pick(chance)
        self._put(key, history, chance.randbytes(LARGE_BYTES))

    def put_parts(self, chance: random.Random) -> None:
        """Write an object of two parts."""
        key, history = self._pick(chance)
        bodies = chance.randbytes(PART_BYTES), chance.randbytes(chance.choice(SIZES))
        named = {"Bucket": self.bucket, "Key": key}
        named["UploadId"] = self.client.create_multipart_upload(**named)["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": self.client.upload_part(**named, PartNumber=number, Body=body)["ETag"],
            }
            for number, body in enumerate(bodies, 1)
        ]
        digests = b"".join(hashlib.md5(body, usedforsecurity=False).digest() for body in bodies)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-2"
        whole = b"".join(bodies)
        version = history.begin(etag, size_bytes=len(whole), digest=digest_of(whole))
        self._send(
            key,
            history,
            version,
            lambda: self.client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}),
        )

    def put_if_match(self, chance: random.Random) -> None:
        """Replace the current version, or try to replace one that is not."""
        key, history = self._pick(chance)
        objects = [one for one in history.versions if one.holds != MARKER]
        if not objects:
            return
        expected = objects[-1] if chance.random() < 0.8 else chance.choice(objects)
        possible = history.possible()
        fits = [one is not None and one.holds == expected.holds for one in possible]
        body = chance.randbytes(chance.choice(SIZES))
        self._put_on_condition(key, history, body, fits, IfMatch=f'"{expected.holds}"')

    def put_if_none(self, chance: random.Random) -> None:
        """Write where there is no object, most often after a delete."""
        key, history = self._pick(chance)
        if chance.random() < 0.7:
            self._mark(key, history)
        fits = [one is None or one.holds == MARKER for one in history.possible()]
        self._put_on_condition(key, history, chance.randbytes(chance.choice(SIZES)), fits, IfNoneMatch="*")

    def delete(self, chance: random.Random) -> None:
        """Delete a key, which makes a marker."""
        self._mark(*self._pick(chance))

    def delete_version(self, chance: random.Random) -> None:
        """Delete a version for good, one of three times the newest that is known."""
        key, history = self._pick(chance)
        known = [one for one in history.versions if one.id is not None and one.gone is not Gone.YES]
        if not known:
            return
        version = known[-1] if chance.random() < 0.3 else chance.choice(known)
        try:
            self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=version.id)
        except (BotoCoreError, ClientError):
            version.gone = Gone.PERHAPS
            raise
        version.gone = Gone.YES

    def _pick(self, chance: random.Random) -> tuple[str, VersionHistory]:
        key = f"{self.prefix}{chance.randrange(KEYS):02}"
        return key, self.histories.setdefault(key, VersionHistory())

    def _put(self, key: str, history: VersionHistory, body: bytes, **condition: str) -> None:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        version = history.begin(etag, size_bytes=len(body), digest=digest_of(body))
        self._send(
            key,
            history,
            version,
            lambda: self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition),
        )

    def _put_on_condition(
        self, key: str, history: VersionHistory, body: bytes, fits: list[bool], **condition: str
    ) -> None:
        """Put a body on a condition; `fits` tells for each possible state whether it should be accepted."""
        possible = history.possible()
        try:
            self._put(key, history, body, **condition)
        except (BotoCoreError, ClientError) as error:
            if code_of(error) in ("PreconditionFailed", "NoSuchKey"):
                if all(fits):
                    self._violation(key, f"{condition} was refused, possible were {possible}")
                self.findings.count("refused by its condition")
                return
            if "IfMatch" in condition and not isinstance(error, ReadTimeoutError):
                self._bound(history)
            raise
        if not any(fits):
            self._violation(key, f"{condition} was accepted, possible were {possible}")

    @staticmethod
    def _bound(history: VersionHistory) -> None:
        """Note that what failed just now is over: no later state has the ETag that it asked for."""
        version = history.versions[-1]
        version.not_after = next(history.moments)

    def _mark(self, key: str, history: VersionHistory) -> None:
        version = history.begin(MARKER)
        self._send(key, history, version, lambda: self.client.delete_object(Bucket=self.bucket, Key=key))

    def _send(
        self, key: str, history: VersionHistory, version: Version, send: Callable[[], dict[str, Any]]
    ) -> None:
        try:
            answer = send()
        except (BotoCoreError, ClientError) as error:
            if code_of(error) in REFUSED:
                history.never_was(version)
            raise
        self._violation(key, history.done(version, answer["VersionId"]))
        if version.holds != MARKER and answer["ETag"] != f'"{version.holds}"':
            self._violation(key, f"{version} was answered as {answer['ETag']}")

    # Reads.

    def get(self, chance: random.Random) -> None:
        """Read the current version of a key and compare."""
        self.check_current(*self._pick(chance))

    def get_version(self, chance: random.Random) -> None:
        """Read some version of a key by its id and compare."""
        key, history = self._pick(chance)
        if known := [one for one in history.versions if one.id is not None]:
            self.check_version(key, history, chance.choice(known))

    def list_versions(self, chance: random.Random) -> None:
        """List the versions of all keys in pages of some size and compare."""
        self.check_listing(page_size=chance.choice((7, 100, 1000)))

    def check_all(self) -> None:
        """List all keys, read each version ever known by its id and each current one, and list them again."""
        self.check_listing()
        for key, history in self.histories.items():
            for version in tuple(history.versions):
                if version.id is not None:
                    self.check_version(key, history, version)
            self.check_current(key, history)
        self.check_listing()

    def check_current(self, key: str, history: VersionHistory) -> None:
        """Read a key and note a violation where it is not what it must be."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            body = answer["Body"].read()
        except ClientError as error:
            if code_of(error) != "NoSuchKey":
                raise
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
            marker = headers.get("x-amz-version-id") if "x-amz-delete-marker" in headers else None
            self._violation(key, history.saw_current(marker, MARKER))
            return
        etag = answer["ETag"].strip('"')
        self._violation(key, history.saw_current(answer["VersionId"], etag))
        if (seen := history.find(answer["VersionId"], etag)) is not None:
            self._compare(key, seen, body, answer)

    def check_version(self, key: str, history: VersionHistory, version: Version) -> None:
        """Read a version by its id and note a violation where it is not what it must be."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key, VersionId=version.id)
            body = answer["Body"].read()
        except ClientError as error:
            is_marker = code_of(error) == "MethodNotAllowed"
            if not is_marker and code_of(error) not in ABSENT:
                raise
            if is_marker and version.holds != MARKER:
                self._violation(key, f"{version} is a marker")
            self._violation(key, history.saw(version, found=is_marker))
            return
        self._violation(key, history.saw(version, found=True))
        self._compare(key, version, body, answer)

    def check_listing(self, *, page_size: int = 1000) -> None:
        """List the versions of all keys and note a violation where they are not those of the model."""
        # The name makes a second registration of the same handler do nothing.
        self.client.meta.events.register(
            "after-call.s3.ListObjectVersions", _keep_order, unique_id="keep-order"
        )
        found: dict[str, list[Listed]] = {}
        last = ""
        for page in self.client.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=self.prefix, PaginationConfig={"PageSize": page_size}
        ):
            for one in page["InOrder"]:
                key = unquote_plus(one["Key"])
                if key < last:
                    self._violation(key, f"listed behind {last}")
                last = key
                holds = one["ETag"].strip('"') if "ETag" in one else MARKER
                listed = Listed(one["VersionId"], holds, int(one.get("Size", "0")), one["IsLatest"] == "true")
                found.setdefault(key, []).append(listed)
        for key in found.keys() - self.histories.keys():
            self._violation(key, "listed but never written")
        for key, history in self.histories.items():
            for wrong in history.saw_listing(found.get(key, [])):
                self._violation(key, wrong)

    def _compare(self, key: str, version: Version, body: bytes, answer: dict[str, Any]) -> None:
        if digest_of(body) != version.digest:
            self._violation(key, f"{version} was read as {len(body)} other bytes")
        if answer.get("ServerSideEncryption") != "AES256":
            self._violation(key, f"{version} is not encrypted")

    def _violation(self, key: str, wrong: str | None) -> None:
        if wrong is not None:
            self.findings.violation(f"{key}: {wrong}")
