"""GET and HEAD of a container: its totals, settings and objects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from model.listing import Page, Query, RawRow, unpack_listed
from model.names import ContainerPath, decode_name
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.operations.types import Totals
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.container_headers import describe_container
from proxy.swift.formats import (
    Format,
    Subdir,
    choose_format,
    json_objects,
    plain_listing,
    xml_objects,
)
from proxy.swift.parameters import ListingRequest, listing_request


async def get_container(call: Call) -> Response:
    """Answer with a listing of the container's objects."""
    path = call.route.container_path
    await authorize(call, path, Access.LIST)
    form = choose_format(call.parameters.get("format"), call.headers.get("accept"))
    wanted = listing_request(call.parameters, limit_max=call.limits.container_listing_limit)
    container, (page, totals) = await asyncio.gather(
        call.colony.container(path, fresh=True), _list(call, wanted)
    )
    items = _head(call, form)
    items += describe_container(container, totals, to_owner=call.owns_account)
    body = page.forms.get(form)
    if body is None:
        body = page.forms[form] = _format(form, page.items, path.container)
    return Response(200 if body else 204, items, body)


async def head_container(call: Call) -> Response:
    """Answer with the container's totals and settings."""
    path = call.route.container_path
    await authorize(call, path, Access.LIST)
    form = choose_format(call.parameters.get("format"), call.headers.get("accept"))
    container, totals = await asyncio.gather(
        call.colony.container(path, fresh=True), call.colony.container_totals(path)
    )
    return Response(
        204, _head(call, form) + describe_container(container, totals, to_owner=call.owns_account)
    )


def _head(call: Call, form: Format) -> list[tuple[str, str]]:
    items = [("Content-Type", form.content_type)]
    if "format" not in call.parameters:
        items.append(("Vary", "Accept"))
    return items


async def _list(call: Call, wanted: ListingRequest) -> tuple[Page, Totals]:
    path = call.route.container_path
    if not wanted.in_folder:
        return await call.colony.list_with_totals(path, wanted.query)
    found: list[RawRow] = []
    query = wanted.query
    while True:
        page, totals = await call.colony.list_with_totals(path, query)
        rows = await asyncio.gather(*(_real_row(call, path, item) for item in page.items))
        found += [row for row in rows if row is not None and row[0] != wanted.hidden_name]
        if not page.truncated or len(found) >= wanted.query.limit:
            return Page(found[: wanted.query.limit], page.truncated), totals
        query = replace(query, marker=page.next_marker)


async def _real_row(call: Call, path: ContainerPath, item: RawRow) -> RawRow | None:
    """Return a row of `?path=`; of a common prefix the object that bears its very name, or None."""
    name, row = item
    if row:
        return item
    page = await call.colony.list_objects(path, Query(prefix=name, limit=1))
    first = next(iter(page.items), None)
    return first if first is not None and first[0] == name else None


def _format(form: Format, items: Sequence[RawRow], container: str) -> bytes:
    if form is Format.PLAIN:
        return plain_listing(decode_name(name) for name, _ in items)
    if form is Format.JSON:
        return json_objects(items)
    rows = [unpack_listed(item) if item[1] else Subdir(decode_name(item[0])) for item in items]
    return xml_objects(container, rows)
