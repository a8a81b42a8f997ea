"""A client of the Swift API without a network: it calls the handler and reads the response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from proxy.auth.tempauth import TOKEN_LIFE_S, Token, TokenMint
from proxy.http.messages import BodyStream, Headers, Request, Response
from proxy.identity.directory import Directory
from proxy.identity.sealing import derive_key
from proxy.operations.colony import Colony
from proxy.swift.api import SwiftApi
from proxy.swift.limits import DEFAULT_LIMITS, Limits
from tests.unit.proxy.swift.fake_colony import FakeColony

Result = TypeVar("Result")
CLUSTER_KEY = b"k" * 32
TEST = "/v1/AUTH_test"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response read to its end; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class SwiftBench:
    """A colony in memory with the users of Swift's own test suite, and their tokens by user id."""

    limits: Limits = DEFAULT_LIMITS
    fake: FakeColony = field(default_factory=FakeColony)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        colony = cast(Colony, self.fake)
        self.loop = asyncio.new_event_loop()
        self.directory = Directory(colony, CLUSTER_KEY, now_ms=lambda: self.fake.now_ms)
        self.api = SwiftApi(
            colony, self.directory, CLUSTER_KEY, limits=self.limits, now_ms=lambda: self.fake.now_ms
        )

    def close(self) -> None:
        """Release the loop."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what a coroutine returns."""
        return self.loop.run_until_complete(work)

    def add_user(self, user_id: str, *roles: str) -> None:
        """Add a user without a password, which would cost each test its hashing, and keep a token for it."""
        user = self.run(self.directory.add_user(user_id, "", roles=roles))
        expires_s = self.fake.now_ms // 1000 + TOKEN_LIFE_S
        token = Token(user.id, user.generation, user.born, expires_s)
        self.tokens[user_id] = TokenMint(derive_key(CLUSTER_KEY, "swift tokens")).issue(token)

    def call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        user: str = "test:tester",
    ) -> Answer:
        """Send one request as a user, as nobody where `user` is empty."""
        fields = {"host": "localhost:8080", **(headers or {})}
        if user:
            fields["x-auth-token"] = self.tokens[user]
        if body or method in ("PUT", "POST", "COPY"):
            fields.setdefault("content-length", str(len(body)))
        raw_path, _, query = path.partition("?")
        request = Request(
            method, raw_path, query, Headers(list(fields.items())), BodyStream.of(body), id="tx1"
        )
        return self.run(_read(self.api, request))


async def _read(api: SwiftApi, request: Request) -> Answer:
    response: Response = await api.handle(request)
    body = b""
    if isinstance(response.body, bytes | bytearray | memoryview):
        body = bytes(response.body)
    else:
        async for chunk in response.body:
            body += bytes(chunk)
    headers = {name.lower(): value for name, value in response.headers}
    return Answer(response.status, headers, body, response.length)
