"""A client that signs as botocore does, and talks to an S3App without any socket."""

import asyncio
import datetime as dt
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lxml import etree

from proxy.http.messages import BodyStream, Headers, Request
from proxy.identity.users import S3Key, User
from proxy.s3.app import S3App
from proxy.s3.call import Settings
from tests.unit.proxy.s3.memory_colony import MemoryColony

HOST = "s3.example.org"


@dataclass
class Answer:
    """A response, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.text("Code")

    @property
    def tree(self) -> Any:
        return etree.fromstring(self.body)

    def text(self, name: str) -> str:
        found = self.texts(name)
        return found[0] if found else ""

    def texts(self, name: str) -> list[str]:
        return [element.text or "" for element in self.tree.iter("{*}" + name)]


class Directory:
    """Access keys by id."""

    def __init__(self) -> None:
        self.keys: dict[str, S3Key] = {}

    async def key(self, access_key_id: str) -> S3Key | None:
        return self.keys.get(access_key_id)

    async def user(self, user_id: str) -> User | None:
        return next((key.user for key in self.keys.values() if key.user.id == user_id), None)

    async def user_by_email(self, email: str) -> User | None:
        return next((key.user for key in self.keys.values() if key.user.email == email), None)


class Client:
    """Requests of one user; `anonymous` ones go unsigned."""

    def __init__(self, app: S3App, key: S3Key | None) -> None:
        self.app = app
        self.key = key

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        host: str = HOST,
    ) -> Answer:
        sent = {"host": host, **(headers or {})}
        if body or method in ("PUT", "POST"):
            sent.setdefault("content-length", str(len(body)))
        if path.endswith("?delete"):
            sent.setdefault("content-md5", b64encode(md5(body).digest()).decode())
        request = AWSRequest(method, f"http://{host}{path}", data=body, headers=sent)
        if self.key is not None:
            signer = S3SigV4Auth(Credentials(self.key.id, self.key.secret), "s3", "us-east-1")
            request.context["signing"] = {}
            request.context["payload_signing_enabled"] = True
            signer.add_auth(request)
        return self.send(method, path, body, dict(request.headers.items()))

    def presign(self, method: str, path: str, expires_s: int = 60) -> str:
        assert self.key is not None
        request = AWSRequest(method, f"http://{HOST}{path}", headers={"host": HOST})
        S3SigV4QueryAuth(
            Credentials(self.key.id, self.key.secret), "s3", "us-east-1", expires=expires_s
        ).add_auth(request)
        parts = urlsplit(request.url)
        return f"{parts.path}?{parts.query}"

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return asyncio.run(self._send(method, path, body, headers))

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        raw_path, _, raw_query = path.partition("?")
        items = [(name.lower(), _text(value)) for name, value in headers.items()]
        response = await self.app(Request(method, raw_path, raw_query, Headers(items), BodyStream.of(body)))
        whole = response.body
        if not isinstance(whole, bytes | bytearray | memoryview):
            whole = b"".join([bytes(chunk) async for chunk in whole])
        shown = {name.lower(): value for name, value in response.headers}
        if method != "HEAD" and response.length is not None:
            assert len(whole) == response.length
        if method == "HEAD":
            assert not whole
            shown["content-length"] = str(response.length or 0)
        return Answer(response.status, shown, bytes(whole))


class World:
    """A colony in memory, its S3 API, and clients of it."""

    def __init__(self, settings: Settings | None = None, now_ms: int | None = None) -> None:
        self.now_ms = now_ms or int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        self.colony = MemoryColony(self.now_ms // 1000 * 1000)
        self.directory = Directory()
        colony: Any = self.colony
        self.app = S3App(colony, self.directory, settings, now_ms=lambda: self.now_ms)
        self.admin = self.user("acme", "admin")
        self.anonymous = Client(self.app, None)

    def user(self, account: str, name: str, *roles: str) -> Client:
        made = User(account, name, frozenset(roles or ("admin",)))
        key = S3Key(f"{account}-{name}-key", f"{account}-{name}-secret", made)
        self.directory.keys[key.id] = key
        return Client(self.app, key)


def path_of(bucket: str, key: str) -> str:
    """The raw path of a key, percent-encoded."""
    return f"/{bucket}/{quote(key, safe='/~')}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
