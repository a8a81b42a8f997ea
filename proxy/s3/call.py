"""One request on its way through the S3 API: what it addresses, who asks, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from model.names import ContainerPath, ObjectPath
from proxy.auth.sigv4 import Claim, Seal
from proxy.encryption.defaults import BucketEncryption, CustomerKeys
from proxy.http.messages import Request, Response
from proxy.identity.users import S3Key, User
from proxy.s3.buckets import BucketNames
from proxy.s3.errors import S3Error
from proxy.s3.router import Operation
from proxy.s3.xml_write import Owner

if TYPE_CHECKING:
    from proxy.operations.colony import Colony

_XML_TYPE: Final = ("Content-Type", "application/xml")


class KeyDirectory(Protocol):
    """Where access keys are looked up; proxy.identity.directory.Directory is one."""

    async def key(self, access_key_id: str) -> S3Key | None:
        """Return a key that may be used, or None."""

    async def user(self, user_id: str) -> User | None:
        """Return a user who may sign in, or None."""

    async def user_by_email(self, email: str) -> User | None:
        """Return the user who may sign in and has an e-mail address, or None."""


class VersionTwo(Enum):
    """What becomes of requests signed by version 2."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chooses for the S3 API.

    `domains` are those under which a first label is a bucket. An empty `regions` accepts requests
    signed for any region. Sizes are bytes.
    """

    region: str = "us-east-1"
    regions: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    version2: VersionTwo = VersionTwo.ACCEPTED
    put_bytes_max: int = 5 << 30
    part_bytes_min: int = 5 << 20
    parts_max: int = 10_000
    object_bytes_max: int = 10_000 * (5 << 30)
    page_keys_max: int = 1000
    customer_keys: CustomerKeys = CustomerKeys.TLS_ONLY
    default_encryption: BucketEncryption | None = None
    host_id: str = "colonnade"


@dataclass(frozen=True, slots=True)
class Services:
    """What every request works with.

    `now_ms` is the wall clock in milliseconds since the epoch.
    """

    colony: Colony
    buckets: BucketNames
    directory: KeyDirectory
    settings: Settings
    now_ms: Callable[[], int]


@dataclass(slots=True)
class Call:
    """One request. `user` is None for an anonymous one.

    `claim` and `seal` are None unless it is signed by version 4: no other signature says how the body
    is to be checked.
    """

    services: Services
    request: Request
    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]
    user: User | None = None
    claim: Claim | None = None
    seal: Seal | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def colony(self) -> Colony:
        """The operations of the colony."""
        return self.services.colony

    @property
    def settings(self) -> Settings:
        """The operator's choices."""
        return self.services.settings

    def object(self, container: ContainerPath) -> ObjectPath:
        """Return the path of the request's key in the container of its bucket."""
        return ObjectPath(container.account, container.container, self.key)

    @property
    def user_id(self) -> str | None:
        """The id of who asks, None for anonymous."""
        return None if self.user is None else self.user.id

    @property
    def owner(self) -> str:
        """The id under which what this request makes is owned; empty for anonymous."""
        return "" if self.user is None else self.user.id

    def show_owner(self, owner_id: str) -> Owner:
        """Return a user as XML shows it: the one who asks by display name, others by id."""
        user = self.user
        if user is not None and user.id == owner_id and user.display_name:
            return Owner(owner_id, user.display_name)
        return Owner(owner_id, owner_id)

    async def named_owner(self, owner_id: str) -> Owner:
        """Return a user as XML shows it, by display name where there is one."""
        shown = self.show_owner(owner_id)
        if shown.display_name != owner_id or not owner_id or owner_id == self.user_id:
            return shown
        user = await self.services.directory.user(owner_id)
        return Owner(owner_id, user.display_name) if user is not None and user.display_name else shown

    def number(self, name: str, default: int, *, limit: int) -> int:
        """Return a whole number of the query, cut to a limit. Raises S3Error InvalidArgument."""
        text = self.query.get(name)
        if text is None or text == "":
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 31):
            raise S3Error(
                "InvalidArgument",
                f"Provided {name} not an integer or within integer range",
                details={"ArgumentName": name, "ArgumentValue": text},
            )
        return min(int(text), limit)


def xml(body: bytes, *, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Return a response with an XML body."""
    return Response(status, [_XML_TYPE, *headers], body)


def empty(status: int = 204, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Return a response without a body."""
    return Response(status, list(headers))
