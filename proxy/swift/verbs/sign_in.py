"""GET of /auth/v1.0 (TempAuth): a user's password for a token and the URL of its account."""

from __future__ import annotations

from urllib.parse import quote

from proxy.auth.tempauth import TOKEN_LIFE_S, Token
from proxy.http.messages import Response
from proxy.identity.users import ACCOUNT_PREFIX
from proxy.swift.access import unauthorized
from proxy.swift.call import Call
from proxy.swift.errors import HTML, Refused


async def sign_in(call: Call) -> Response:
    """Answer with a token. Raises Refused for a user or a password that is wrong or missing."""
    user_id, password, realm = _credentials(call)
    if not user_id or not password:
        raise unauthorized(realm)
    user = await call.services.directory.authenticate(user_id, password)
    if user is None:
        raise unauthorized(realm)
    token = call.services.mint.issue(
        Token(user.id, user.generation, user.born, int(call.now_s) + TOKEN_LIFE_S)
    )
    scheme = "https" if call.request.secure else "http"
    host = call.headers.get("host", "localhost")
    storage_url = f"{scheme}://{host}/v1/{ACCOUNT_PREFIX}{quote(user.account)}"
    return Response(
        200,
        [
            ("Content-Type", HTML),
            ("X-Auth-Token", token),
            ("X-Storage-Token", token),
            ("X-Storage-Url", storage_url),
            ("X-Auth-Token-Expires", str(TOKEN_LIFE_S)),
        ],
    )


def _credentials(call: Call) -> tuple[str, str, str]:
    """Return user id, password and realm of the forms `/auth/v1.0`, `/auth/auth`, `/auth/v1/ACCOUNT/auth`."""
    headers = call.headers
    user = headers.get("x-auth-user") or headers.get("x-storage-user")
    password = headers.get("x-auth-key") or headers.get("x-storage-pass")
    path = call.route.object.strip("/").split("/")
    if path in (["v1.0"], ["auth"]):
        account, colon, _ = user.partition(":")
        return (user, password, account or "unknown") if colon else ("", "", "unknown")
    if len(path) == 3 and path[0] == "v1" and path[2] == "auth":
        account = path[1]
        if ":" not in user:
            return (f"{account}:{user}" if user else "", password, account)
        return (user if user.partition(":")[0] == account else "", password, account)
    raise Refused(400)
