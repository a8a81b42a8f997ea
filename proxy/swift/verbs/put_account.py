"""PUT of an account: for who administers every account."""

from __future__ import annotations

from proxy.http.messages import Response
from proxy.swift.access import require_reseller_admin
from proxy.swift.call import Call
from proxy.swift.container_headers import account_changes
from proxy.swift.errors import HTML, standard_page


async def put_account(call: Call) -> Response:
    """Make the account, or set metadata of one that exists."""
    require_reseller_admin(call)
    changes = account_changes(call.headers, call.limits)
    if await call.colony.create_account(call.route.account, call.user_id, changes):
        return Response(201, [("Content-Type", HTML)])
    return Response(202, [("Content-Type", HTML)], standard_page(202))
