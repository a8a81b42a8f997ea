"""A mixed load of real S3 clients that checks all it reads against a model."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.history import ABSENT, Findings, KeyHistory, digest_of

SIZES = (0, 1, 100, 4096, 4096, 4096, 65536, 300_000, 1 << 20, 3 << 20)


def s3_client(endpoint: str, access_key: str, secret_key: str, *, attempts: int = 1) -> Any:
    """Return a boto3 S3 client of an endpoint; one attempt means that errors reach the caller."""
    config = Config(
        retries={"total_max_attempts": attempts, "mode": "standard"},
        connect_timeout=5,
        read_timeout=60,
        s3={"addressing_style": "path"},
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=config,
    )


@dataclass
class Writer(threading.Thread):
    """One client that owns a prefix of a bucket and works on it until told to stop.

    It writes through `client`; it reads and lists through that or one of the `readers`, so that what one
    proxy has acknowledged is looked for through another.
    """

    client: Any
    bucket: str
    number: int
    seed: int
    findings: Findings
    stop: threading.Event
    readers: Sequence[Any] = ()
    histories: dict[str, KeyHistory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(name=f"writer-{self.number}", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    @property
    def prefix(self) -> str:
        """The names this writer owns."""
        return f"w{self.number:02}/"

    def run(self) -> None:
        """Work until told to stop."""
        chance = random.Random(self.seed * 1000 + self.number)
        while not self.stop.is_set():
            act = chance.choices((self.put, self.get, self.delete, self.list_names), (45, 35, 15, 5))[0]
            try:
                act(chance)
            except (BotoCoreError, ClientError) as error:
                self.findings.count(f"{act.__name__} failed: {_name_of(error)}")
            else:
                self.findings.count(act.__name__)

    def _pick(self, chance: random.Random) -> tuple[str, KeyHistory]:
        key = f"{self.prefix}{chance.randrange(200):03}"
        return key, self.histories.setdefault(key, KeyHistory())

    def put(self, chance: random.Random) -> None:
        """Write a new body under a key."""
        key, history = self._pick(chance)
        body = chance.randbytes(chance.choice(SIZES))
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        except (BotoCoreError, ClientError):
            history.unsure(digest_of(body))
            raise
        history.done(digest_of(body))

    def delete(self, chance: random.Random) -> None:
        """Delete a key."""
        key, history = self._pick(chance)
        try:
            self.client.delete_object(Bucket=self.bucket, Key=key)
        except (BotoCoreError, ClientError):
            history.unsure(ABSENT)
            raise
        history.done(ABSENT)

    def get(self, chance: random.Random) -> None:
        """Read a key and compare."""
        key, history = self._pick(chance)
        self.check(key, history, self._reader(chance))

    def _reader(self, chance: random.Random) -> Any:
        return chance.choice((self.client, *self.readers))

    def check(self, key: str, history: KeyHistory, client: Any = None) -> None:
        """Read a key and note a violation where it is not what it must be."""
        wrong = history.saw(self.read(key, client or self.client))
        if wrong:
            self.findings.violation(f"{key}: {wrong}")

    def read(self, key: str, client: Any) -> str | None:
        """Return the digest of what a key holds."""
        try:
            return digest_of(client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return ABSENT
            raise

    def list_names(self, chance: random.Random) -> None:
        """List the prefix and compare the names."""
        self.check_listing(self._reader(chance))

    def check_all(self) -> None:
        """Read every key ever written, and list them, noting what is not as it must be."""
        for key, history in self.histories.items():
            self.check(key, history)
        self.check_listing()

    def check_listing(self, client: Any = None) -> None:
        """List the prefix and note a violation where a name is missing or must not be there."""
        listed: set[str] = set()
        for page in (
            (client or self.client)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=self.prefix)
        ):
            listed |= {item["Key"] for item in page.get("Contents", ())}
        for key, history in self.histories.items():
            if history.must_exist and key not in listed:
                self.findings.violation(f"{key}: acknowledged but not listed")
            if key in listed and not history.may_exist:
                self.findings.violation(f"{key}: listed but deleted")
        for key in listed - set(self.histories):
            self.findings.violation(f"{key}: listed but never written")


def _name_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response["Error"]["Code"])
    return type(error).__name__
