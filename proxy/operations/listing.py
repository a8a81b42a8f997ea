"""Listing an index so that it shows every acknowledged write: one replica's page, or a merge of several."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from model.entry import Table, from_row, make_key, merge
from model.errors import NodeUnreachable, NotEnoughReplicas, StaleRing, Unavailable
from model.listing import Page, Query, RawRow, Scan, Shape, after_prefix
from model.names import split_row_name
from model.version_listing import AFTER_NAME, settled_rows, shaped_page
from objectd.contract import Group, NameRange, Origin, RawRows, RowsReply
from proxy.operations.nodes import Nodes, StaleNode
from proxy.operations.quorum import majority
from proxy.operations.types import Totals
from proxy.operations.write import PATIENCE_MS, RETRY_MS, Update, write

Reply = TypeVar("Reply")

WINDOW_ROWS: Final = 2_000


async def list_index(nodes: Nodes, digest: bytes, query: Query) -> tuple[Page, Totals]:
    """Return one page of the index of a placement digest, and its totals. Raises NotEnoughReplicas."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_MS / 1000
    while True:
        try:
            return await _list_once(nodes, digest, query)
        except (StaleNode, _Unreached) as error:
            caught_up = isinstance(error, StaleNode) and await nodes.catch_up(error.node, error.cause)
            if loop.time() > give_up:
                raise NotEnoughReplicas("too few replicas of the index answer") from error
            if not caught_up:
                await asyncio.sleep(RETRY_MS / 1000)


class _Unreached(Exception):
    """Fewer replicas than a majority answered."""


async def _list_once(nodes: Nodes, digest: bytes, query: Query) -> tuple[Page, Totals]:
    home_sets = nodes.read_sets(digest)
    if len(home_sets) == 1:
        known = await _known_page(nodes, digest, query, home_sets[0])
        if known is not None:
            return known
        agreed = await _agreed_page(nodes, digest, query, home_sets[0])
        if agreed is not None:
            return agreed
    return await _merged_page(nodes, digest, query, home_sets)


async def _rows(
    nodes: Nodes, node: str, digest: bytes, owned: Sequence[int], query: Query, *, ask: int
) -> RowsReply | None:
    call = nodes.client(node).rows(digest, owned, query, epoch=nodes.epoch.number, ask=ask)
    return await _answer(nodes, node, call)


async def _known_page(
    nodes: Nodes, digest: bytes, query: Query, homes: Sequence[int]
) -> tuple[Page, Totals] | None:
    """Return the page made before, where a majority has the very rows that it was made of, else None."""
    known = nodes.pages.find(digest, query)
    if known is None:
        return None
    asked = [_groups(nodes, node, digest, owned) for node, owned in nodes.by_node(homes).items()]
    found = (
        await asked[0] if len(asked) == 1 else [one for many in await asyncio.gather(*asked) for one in many]
    )
    agreeing = [group for group in found if group.digest == known.digest]
    if len(agreeing) >= majority(len(homes)):
        return known.page, Totals(agreeing[0].count, agreeing[0].bytes)
    nodes.pages.drop(digest, query)
    return None


async def _agreed_page(
    nodes: Nodes, digest: bytes, query: Query, homes: Sequence[int]
) -> tuple[Page, Totals] | None:
    """Return the page of one replica where a majority has the very same rows, else None."""
    needed = majority(len(homes))
    (node, owned), *rest = nodes.by_node(homes).items()
    first = _rows(nodes, node, digest, owned, query, ask=min(len(owned), needed))
    others: Sequence[list[Group]] = ()
    if len(owned) >= needed:
        reply = await first
    else:
        asked = asyncio.gather(*(_groups(nodes, other, digest, devices) for other, devices in rest))
        reply, others = await asyncio.gather(first, asked)
    if reply is None or not reply.groups:
        return None
    wanted = reply.groups[0][1]
    if any(group.digest != wanted.digest for _, group in reply.groups):
        # The node has merged what differs: rows of a minority, until they are written to more.
        return None
    agreeing = len(reply.groups) + sum(group.digest == wanted.digest for found in others for group in found)
    if agreeing < needed:
        return None
    nodes.pages.note(digest, query, reply.page, wanted.digest)
    return reply.page, Totals(wanted.count, wanted.bytes)


async def _groups(nodes: Nodes, node: str, digest: bytes, owned: Sequence[int]) -> list[Group]:
    try:
        ((*found,),) = await nodes.client(node).groups([(digest, owned)], epoch=nodes.epoch.number)
    except StaleRing as error:
        raise StaleNode(node, error) from error
    except Unavailable as error:
        if isinstance(error, NodeUnreachable):
            nodes.note_down(node)
        return []
    return [group for _, group in found]


async def _merged_page(
    nodes: Nodes, digest: bytes, query: Query, home_sets: Sequence[Sequence[int]]
) -> tuple[Page, Totals]:
    """Merge the rows of a majority of replicas, window by window, until the page is full."""
    start, end = query.prefix, after_prefix(query.prefix) if query.prefix else None
    if query.marker and not query.reverse:
        start = max(start, query.marker)
    if query.marker and query.reverse:
        # The marker itself may be wanted; where there are versions, so are those of it.
        past = query.marker + (b"\0" if query.shape is Shape.NAMES else AFTER_NAME)
        end = past if end is None else min(end, past)
    rows: list[RawRow] = []
    limit = max(WINDOW_ROWS, query.limit + 1)
    while True:
        window = NameRange(start, end, limit, query.reverse)
        replicas = await _raw_rows(nodes, digest, window, home_sets)
        merged, exhausted = merge_window(replicas, reverse=query.reverse)
        await _repair(nodes, digest, replicas, merged)
        rows += merged
        known = rows if exhausted else settled_rows(rows, query)
        page = shaped_page(held_scan(known, reverse=query.reverse), query)
        if page.truncated or exhausted or query.limit <= 0:
            return page, _best_totals([replica.group for replica in replicas])
        if merged:
            start, end = _beyond(query, merged[-1][0], start, end)
        limit *= 2


def _beyond(query: Query, last: bytes, start: bytes, end: bytes | None) -> tuple[bytes, bytes | None]:
    """Return the range after the last name seen, and after all that a common prefix has rolled up."""
    name = last if query.shape is Shape.NAMES else split_row_name(last)[0]
    at = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
    if at < 0:
        return (start, last) if query.reverse else (last + b"\0", end)
    common = last[: at + len(query.delimiter)]
    if query.reverse:
        return start, common
    return after_prefix(common) or last + b"\0", end


async def _raw_rows(
    nodes: Nodes, digest: bytes, window: NameRange, home_sets: Sequence[Sequence[int]]
) -> list[RawRows]:
    replicas: list[RawRows] = []
    for homes in home_sets:
        known = {replica.device for replica in replicas}
        needed = majority(len(homes)) - sum(1 for home in homes if home in known)
        for node, owned in nodes.by_node(home for home in homes if home not in known).items():
            if needed <= 0:
                break
            found = await _raw_rows_of(nodes, node, digest, owned, window, ask=min(len(owned), needed))
            replicas += found
            needed -= len(found)
        if needed > 0:
            raise _Unreached
    return replicas


async def _raw_rows_of(
    nodes: Nodes, node: str, digest: bytes, owned: Sequence[int], window: NameRange, *, ask: int
) -> list[RawRows]:
    call = nodes.client(node).raw_rows(digest, owned, window, epoch=nodes.epoch.number, ask=ask)
    return await _answer(nodes, node, call) or []


async def _answer(nodes: Nodes, node: str, call: Awaitable[Reply]) -> Reply | None:
    """Return what a node answers, None where it does not. Raises StaleNode."""
    try:
        return await call
    except StaleRing as error:
        raise StaleNode(node, error) from error
    except Unavailable as error:
        if isinstance(error, NodeUnreachable):
            nodes.note_down(node)
        return None


def merge_window(replicas: Sequence[RawRows], *, reverse: bool) -> tuple[list[RawRow], bool]:
    """Merge the rows of replicas up to where all of them are known, and say whether the range ends there."""
    cuts = [replica.rows[-1][0] for replica in replicas if not replica.exhausted and replica.rows]
    cut = (max(cuts) if reverse else min(cuts)) if cuts else None
    newest: dict[bytes, bytes] = {}
    for replica in replicas:
        for name, row in replica.rows:
            if cut is not None and (name < cut if reverse else name > cut):
                break
            held = newest.get(name)
            if held is None:
                newest[name] = row
            elif held != row:
                newest[name] = merge(from_row(name, held), from_row(name, row)).to_row()
    return sorted(newest.items(), reverse=reverse), cut is None


async def _repair(nodes: Nodes, digest: bytes, replicas: Sequence[RawRows], merged: Sequence[RawRow]) -> None:
    """Write rows that a replica lacks to it, so that no later listing goes back in time."""
    held = [(replica.device, dict(replica.rows)) for replica in replicas]
    updates = []
    for name, row in merged:
        lacking = tuple(device for device, rows in held if rows.get(name) != row)
        if lacking:
            entry = from_row(make_key(Table.INDEX, digest, name), row)
            updates.append(Update(entry, origin=Origin.REPAIR, only=lacking))
    if updates:
        written = await write(nodes, updates, patience_ms=0)
        if not all(one.durable for one in written):
            raise _Unreached


def held_scan(rows: Sequence[RawRow], *, reverse: bool) -> Scan:
    """Return a scan over rows in memory, which are in the order of the listing."""
    ordered = rows[::-1] if reverse else rows
    names = [name for name, _ in ordered]

    def scan(start: bytes, end: bytes | None, limit: int) -> Sequence[RawRow]:
        low = bisect_left(names, start)
        high = len(names) if end is None else bisect_left(names, end)
        if reverse:
            return ordered[max(low, high - limit) : high][::-1]
        return ordered[low : min(high, low + limit)]

    return scan


async def index_totals(nodes: Nodes, digests: Sequence[bytes]) -> list[Totals]:
    """Return the totals of indexes, as most replicas have them. Raises NotEnoughReplicas."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_MS / 1000
    while True:
        try:
            return await _totals_once(nodes, digests)
        except (StaleNode, _Unreached) as error:
            caught_up = isinstance(error, StaleNode) and await nodes.catch_up(error.node, error.cause)
            if loop.time() > give_up:
                raise NotEnoughReplicas("too few replicas of an index answer") from error
            if not caught_up:
                await asyncio.sleep(RETRY_MS / 1000)


async def _totals_once(nodes: Nodes, digests: Sequence[bytes]) -> list[Totals]:
    asked: dict[str, list[tuple[bytes, list[int]]]] = {}
    for digest in digests:
        homes = nodes.epoch.read_homes(digest)
        for node, owned in nodes.by_node(homes).items():
            asked.setdefault(node, []).append((digest, owned))
    seen: dict[bytes, list[Group]] = {digest: [] for digest in digests}
    for node, wanted in asked.items():
        try:
            answers = await nodes.client(node).groups(wanted, epoch=nodes.epoch.number)
        except StaleRing as error:
            raise StaleNode(node, error) from error
        except Unavailable as error:
            if isinstance(error, NodeUnreachable):
                nodes.note_down(node)
            continue
        for (digest, _), groups in zip(wanted, answers, strict=True):
            seen[digest] += [group for _, group in groups]
    needed = {digest: majority(len(nodes.epoch.read_homes(digest))) for digest in digests}
    if any(len(seen[digest]) < needed[digest] for digest in digests):
        raise _Unreached
    return [_best_totals(seen[digest]) for digest in digests]


def _best_totals(groups: Sequence[Group]) -> Totals:
    """Return the totals that most replicas agree on; among equals, of the one that lists most."""
    votes = Counter(group.digest for group in groups)
    best = max(groups, key=lambda group: (votes[group.digest], group.count))
    return Totals(best.count, best.bytes)
