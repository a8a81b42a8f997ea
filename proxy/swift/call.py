"""One Swift request in progress: what it names, who asks, and what serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.tempauth import TokenMint
from proxy.http.messages import Headers, Request
from proxy.identity.directory import Directory
from proxy.identity.users import User
from proxy.operations.colony import Colony
from proxy.swift.limits import Limits
from proxy.swift.parameters import Parameters
from proxy.swift.router import Route


@dataclass(frozen=True, slots=True)
class Services:
    """What every Swift request is served with. `now_ms` is the wall clock."""

    colony: Colony
    directory: Directory
    mint: TokenMint
    limits: Limits
    now_ms: Callable[[], int]


@dataclass(slots=True)
class Call:
    """One request. `user` is None for somebody who has not signed in."""

    request: Request
    route: Route
    parameters: Parameters
    user: User | None
    services: Services

    @property
    def headers(self) -> Headers:
        """The headers of the request."""
        return self.request.headers

    @property
    def colony(self) -> Colony:
        """The colony that serves the request."""
        return self.services.colony

    @property
    def limits(self) -> Limits:
        """The limits that the request is held to."""
        return self.services.limits

    @property
    def owns_account(self) -> bool:
        """Whether who asks owns the account named."""
        return self.user is not None and self.user.owns(self.route.account)

    @property
    def user_id(self) -> str:
        """The id of who asks, empty for nobody."""
        return "" if self.user is None else self.user.id

    @property
    def now_s(self) -> float:
        """The wall clock in seconds."""
        return self.services.now_ms() / 1000
