"""The Swift API as one handler: route, identify, call the verb, map errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kit.clock import wall_clock_ms
from model.errors import ColonnadeError
from proxy.auth.tempauth import TokenMint
from proxy.http.messages import Request, Response
from proxy.identity.directory import Directory
from proxy.identity.sealing import derive_key
from proxy.operations.colony import Colony
from proxy.swift.access import identify
from proxy.swift.call import Call, Services
from proxy.swift.errors import Refused, error_response
from proxy.swift.limits import DEFAULT_LIMITS, Limits
from proxy.swift.parameters import parse_parameters
from proxy.swift.router import Kind, Route, route_path
from proxy.swift.verbs.copy_object import copy_object
from proxy.swift.verbs.delete_container import delete_container
from proxy.swift.verbs.delete_object import delete_object
from proxy.swift.verbs.get_account import get_account, head_account
from proxy.swift.verbs.get_container import get_container, head_container
from proxy.swift.verbs.get_info import get_health, get_info
from proxy.swift.verbs.get_object import get_object
from proxy.swift.verbs.options import allow_options
from proxy.swift.verbs.post_account import post_account
from proxy.swift.verbs.post_container import post_container
from proxy.swift.verbs.post_object import post_object
from proxy.swift.verbs.put_account import put_account
from proxy.swift.verbs.put_container import put_container
from proxy.swift.verbs.put_object import put_object
from proxy.swift.verbs.sign_in import sign_in

Verb = Callable[[Call], Awaitable[Response]]

VERBS: Final[Mapping[Kind, Mapping[str, Verb]]] = {
    Kind.AUTH: {"GET": sign_in, "HEAD": sign_in},
    Kind.INFO: {"GET": get_info, "HEAD": get_info},
    Kind.HEALTH: {"GET": get_health, "HEAD": get_health},
    Kind.ACCOUNT: {
        "GET": get_account,
        "HEAD": head_account,
        "POST": post_account,
        "PUT": put_account,
        "OPTIONS": allow_options,
    },
    Kind.CONTAINER: {
        "GET": get_container,
        "HEAD": head_container,
        "POST": post_container,
        "PUT": put_container,
        "DELETE": delete_container,
        "OPTIONS": allow_options,
    },
    Kind.OBJECT: {
        "GET": get_object,
        "HEAD": get_object,
        "POST": post_object,
        "PUT": put_object,
        "DELETE": delete_object,
        "COPY": copy_object,
        "OPTIONS": allow_options,
    },
}
_OPEN: Final = frozenset((Kind.AUTH, Kind.INFO, Kind.HEALTH))


class SwiftApi:
    """Answers the requests whose path is Swift's: /v1/AUTH_…, /auth/…, /info, /healthcheck."""

    def __init__(
        self,
        colony: Colony,
        directory: Directory,
        cluster_key: bytes,
        *,
        limits: Limits = DEFAULT_LIMITS,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """Serve a colony; tokens are signed by a key derived from the one that all nodes share."""
        mint = TokenMint(derive_key(cluster_key, "swift tokens"))
        self._services = Services(colony, directory, mint, limits, now_ms)

    async def handle(self, request: Request) -> Response:
        """Return the response to a request; errors of the colony become responses too."""
        try:
            response = await self._serve(request)
        except ColonnadeError as error:
            response = error_response(error)
            if request.method == "HEAD" and response.body:
                response.body = b""
        if response.status == 204:
            # HTTP has no need of it; Swift sends it, and its clients read it.
            response.headers.append(("Content-Length", "0"))
        response.headers.append(("X-Trans-Id", request.id))
        response.headers.append(("X-Openstack-Request-Id", request.id))
        return response

    async def _serve(self, request: Request) -> Response:
        route = route_path(request.raw_path)
        verbs = VERBS[route.kind]
        verb = verbs.get(request.method)
        if verb is None:
            raise Refused(405, headers=(("Allow", allowed_methods(route)),))
        parameters = parse_parameters(request.raw_query)
        open_to_all = route.kind in _OPEN or request.method == "OPTIONS"
        user = None if open_to_all else await identify(request, self._services)
        if user is not None:
            request.user = user.id
        return await verb(Call(request, route, parameters, user, self._services))


def allowed_methods(route: Route) -> str:
    """Return the methods of what a path names, for an Allow header."""
    return ", ".join(sorted(VERBS[route.kind]))
