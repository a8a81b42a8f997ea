"""GET and HEAD of an account: its totals, metadata and containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from model.errors import NoSuchAccount
from model.listing import unpack_listed
from model.names import decode_name
from model.stamp import stamp_micros
from proxy.dates import iso_micros
from proxy.http.messages import Response
from proxy.identity.users import ACCOUNT_PREFIX
from proxy.operations.types import AccountTotals, Container, Totals
from proxy.swift.access import require_owner
from proxy.swift.call import Call
from proxy.swift.container_headers import POLICY, describe_account
from proxy.swift.formats import (
    ContainerRow,
    Format,
    Subdir,
    choose_format,
    json_containers,
    plain_listing,
    xml_containers,
)
from proxy.swift.parameters import ListingRequest, listing_request


async def get_account(call: Call) -> Response:
    """Answer with a listing of the account's containers; an account never used lists nothing."""
    require_owner(call)
    form = choose_format(call.parameters.get("format"), call.headers.get("accept"))
    wanted = listing_request(call.parameters, limit_max=call.limits.account_listing_limit)
    account, totals, rows = await asyncio.gather(
        _account(call), call.colony.account_totals(call.route.account), _rows(call, wanted)
    )
    items = _headers(call, account, totals, form)
    body = _format(form, rows, ACCOUNT_PREFIX + call.route.account)
    return Response(200 if body else 204, items, body)


async def head_account(call: Call) -> Response:
    """Answer with the account's totals and metadata."""
    require_owner(call)
    form = choose_format(call.parameters.get("format"), call.headers.get("accept"))
    account, totals = await asyncio.gather(_account(call), call.colony.account_totals(call.route.account))
    return Response(204, _headers(call, account, totals, form))


async def _account(call: Call) -> Container | None:
    try:
        return await call.colony.account(call.route.account, fresh=True)
    except NoSuchAccount:
        return None


def _headers(
    call: Call, account: Container | None, totals: AccountTotals, form: Format
) -> list[tuple[str, str]]:
    items = [("Content-Type", form.content_type)]
    if "format" not in call.parameters:
        items.append(("Vary", "Accept"))
    return items + describe_account(account, totals, to_owner=call.owns_account)


async def _rows(call: Call, wanted: ListingRequest) -> list[ContainerRow | Subdir]:
    page, totals = await call.colony.list_containers(call.route.account, wanted.query)
    return [_row(name, row, totals[name]) if row else Subdir(decode_name(name)) for name, row in page.items]


def _row(name: bytes, row: bytes, totals: Totals) -> ContainerRow:
    listed = unpack_listed((name, row))
    return ContainerRow(
        listed.name, totals.count, totals.bytes, iso_micros(stamp_micros(listed.stamp)), POLICY
    )


def _format(form: Format, rows: Sequence[ContainerRow | Subdir], account: str) -> bytes:
    match form:
        case Format.PLAIN:
            return plain_listing(row.name for row in rows)
        case Format.JSON:
            return json_containers(rows)
        case Format.XML | Format.TEXT_XML:
            return xml_containers(account, rows)
