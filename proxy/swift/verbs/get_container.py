"""GET and HEAD of a container: its totals, settings and objects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from model.listing import Listed, Page, unpack_listed
from model.names import decode_name
from model.stamp import stamp_micros
from proxy.auth.acl import Access
from proxy.dates import iso_micros
from proxy.http.messages import Response
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.container_headers import describe_container
from proxy.swift.formats import (
    Format,
    ObjectRow,
    Subdir,
    choose_format,
    json_objects,
    plain_listing,
    xml_objects,
)
from proxy.swift.parameters import ListingRequest, listing_request

MANIFEST_ETAG: Final = "manifest_etag"
"""In the listing row of a static large object: the ETag of its manifest, which Swift lists as its hash."""


async def get_container(call: Call) -> Response:
    """Answer with a listing of the container's objects."""
    path = call.route.container_path
    await authorize(call, path, Access.LIST)
    form = choose_format(call.parameters.get("format"), call.headers.get("accept"))
    wanted = listing_request(call.parameters, limit_max=call.limits.container_listing_limit)
    container, totals, page = await asyncio.gather(
        call.colony.container(path, fresh=True),
        call.colony.container_totals(path),
        call.colony.list_objects(path, wanted.query),
    )
    items = _head(call, form)
    items += describe_container(container, totals, to_owner=call.owns_account)
    body = _format(form, page, wanted, path.container)
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


def _format(form: Format, page: Page, wanted: ListingRequest, container: str) -> bytes:
    if form is Format.PLAIN:
        return plain_listing(decode_name(name) for name, row in page.items if _shown(name, row, wanted))
    rows = _rows(page, wanted)
    return json_objects(rows) if form is Format.JSON else xml_objects(container, rows)


def _rows(page: Page, wanted: ListingRequest) -> Sequence[ObjectRow | Subdir]:
    return [
        _row(unpack_listed((name, row))) if row else Subdir(decode_name(name))
        for name, row in page.items
        if _shown(name, row, wanted)
    ]


def _shown(name: bytes, row: bytes, wanted: ListingRequest) -> bool:
    """Return whether `?path=` shows a row: never the folder itself, nor what is only a common prefix."""
    if not wanted.folders_only:
        return True
    return bool(row) and name != wanted.hidden_name


def _row(listed: Listed) -> ObjectRow:
    shown = listed.extra.get(MANIFEST_ETAG)
    etags = () if shown is None else (("slo_etag", f'"{listed.etag}"'),)
    return ObjectRow(
        listed.name,
        listed.etag if shown is None else shown,
        listed.size,
        listed.content_type,
        iso_micros(stamp_micros(listed.stamp)),
        etags,
    )
