"""POST of an account: change its metadata; the first one makes the account."""

from __future__ import annotations

from model.errors import NoSuchAccount
from proxy.http.messages import Response
from proxy.swift.access import require_owner
from proxy.swift.call import Call
from proxy.swift.container_headers import account_changes
from proxy.swift.errors import HTML
from proxy.swift.metadata import check_total, metadata_of


async def post_account(call: Call) -> Response:
    """Set and remove metadata of the account."""
    require_owner(call)
    changes = account_changes(call.headers, call.limits)
    name = call.route.account
    try:
        account = await call.colony.account(name, fresh=True)
    except NoSuchAccount:
        await call.colony.create_account(name, call.user_id, changes)
    else:
        check_total(metadata_of(account.settings), metadata_of(changes), call.limits)
        if changes:
            await call.colony.set_account(name, changes)
    return Response(204, [("Content-Type", HTML)])
