"""Listing the versions of a container."""

from __future__ import annotations

from model.entry import Kind, row_kind
from model.listing import NULL_MARKER, Query, RawRow, Shape, unpack_listed
from model.names import NULL_VERSION, ContainerPath, decode_name, split_row_name
from model.stamp import version_id
from model.version_listing import LATEST, PREFIX, null_stamp
from proxy.operations.listing import list_index
from proxy.operations.look_up import parse_version
from proxy.operations.nodes import Nodes
from proxy.operations.types import ListedVersion, VersionPage, VersionQuery


async def list_versions(nodes: Nodes, path: ContainerPath, query: VersionQuery) -> VersionPage:
    """Return one page of all versions and markers of a container, in S3's order.

    An absent container lists nothing. Raises NoSuchVersion where the marker is no version id.
    """
    after = b""
    if query.version_marker is not None:
        after = parse_version(query.version_marker) or NULL_MARKER
    wanted = Query(
        query.prefix,
        query.delimiter,
        query.key_marker,
        limit=query.limit,
        shape=Shape.VERSIONS,
        version_marker=after,
    )
    page, _ = await list_index(nodes, nodes.epoch.digest(path.account, path.container), wanted)
    items = [_item(item) for item in page.items]
    if not page.truncated:
        return VersionPage(items)
    last = items[-1]
    if isinstance(last, str):
        return VersionPage(items, truncated=True, next_key=page.items[-1][0][1:])
    # Of the null version the stamp goes into the marker: what is written under "null" may be replaced
    # before the next page is asked for.
    name, _ = split_row_name(page.items[-1][0][1:])
    return VersionPage(items, truncated=True, next_key=name, next_version=version_id(last.stamp))


def _item(item: RawRow) -> ListedVersion | str:
    flagged, row = item
    flag, raw = flagged[:1], flagged[1:]
    if flag == PREFIX:
        return decode_name(raw)
    name, version = split_row_name(raw)
    listed = unpack_listed((name, row))
    return ListedVersion(
        listed,
        NULL_VERSION if version is None else version_id(version),
        is_latest=flag == LATEST,
        is_marker=row_kind(row) == Kind.MARKER,
        stamp=null_stamp(row) if version is None else version,
    )
