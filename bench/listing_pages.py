"""The names of a big container, the pages that are measured of it, and what a right answer holds. Pure.

Names are spread over FOLDERS pseudo-folders and sort as they count, so that any page can be addressed
by the name before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bench.workload import Api

FOLDERS = 1_000
PAGE_NAMES = 1_000
_STRIDE = 15_485_863
"""A prime larger than any container here: its multiples visit every index once, out of order."""
_S3_ITEM = re.compile(r"<Key>(.*?)</Key>|<CommonPrefixes><Prefix>(.*?)</Prefix>")


class Place(Enum):
    """Which page of the container is asked for."""

    START = "first page"
    MIDDLE = "page in the middle"
    END = "last page"
    PREFIX = "prefix of ten names"
    FOLDERS = "delimiter: all folders"
    LEAVES = "prefix and delimiter"
    REVERSED = "last page, reversed"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of `names` objects; the first `deleted` of them have been deleted again."""

    names: int
    deleted: int = 0

    def __post_init__(self) -> None:
        # Folders then begin at multiples of ten, as the prefixes that are asked for do.
        if self.names % (10 * FOLDERS):
            raise ValueError(f"names come in multiples of {10 * FOLDERS:,}, not {self.names:,}")

    @property
    def title(self) -> str:
        """What the container is called in the store."""
        return f"bench-listing-{self.names}" + (f"-less-{self.deleted}" if self.deleted else "")

    def name(self, index: int) -> str:
        """The name of an object by its place in the order."""
        return f"folder-{index * FOLDERS // self.names:04d}/object-{index:08d}"

    def scattered(self, step: int) -> str:
        """The name that is loaded at a step: one after the other, they lie far apart."""
        return self.name(step * _STRIDE % self.names)


@dataclass(frozen=True, slots=True)
class Ask:
    """One listing: its query, and the names (or folders) that it has to answer with."""

    query: tuple[tuple[str, str], ...]
    expected: tuple[str, ...]


def places(api: Api) -> tuple[Place, ...]:
    """The pages that an API can be asked for; S3 knows no reversed listing."""
    return tuple(place for place in Place if api is Api.SWIFT or place is not Place.REVERSED)


def asks(container: Container, place: Place, api: Api, *, count: int) -> list[Ask]:
    """The `count` listings that are measured of a place: different pages, where there are as many."""
    return [_ask(container, place, api, index / max(1, count)) for index in range(count)]


def _ask(container: Container, place: Place, api: Api, share: float) -> Ask:
    live = range(container.deleted, container.names)
    match place:
        case Place.START:
            return _page(container, api, live[:PAGE_NAMES])
        case Place.MIDDLE:
            first = len(live) // 4 + int(share * len(live) / 2)
            return _page(container, api, live[first : first + PAGE_NAMES])
        case Place.END:
            return _page(container, api, live[-PAGE_NAMES:])
        case Place.REVERSED:
            expected = tuple(container.name(index) for index in live[: -PAGE_NAMES - 1 : -1])
            return Ask(_query(api, reverse="true"), expected)
        case Place.FOLDERS:
            folders = dict.fromkeys(_folder_of(container, index) for index in _folder_starts(container))
            return Ask(_query(api, delimiter="/"), tuple(folders))
        case Place.PREFIX | Place.LEAVES:
            ten = live[int(share * len(live)) // 10 * 10 :][:10]
            query = _query(
                api, prefix=container.name(ten[0])[:-1], delimiter="/" if place is Place.LEAVES else ""
            )
            return Ask(query, tuple(container.name(index) for index in ten))


def _page(container: Container, api: Api, indexes: range) -> Ask:
    expected = tuple(container.name(index) for index in indexes)
    before = indexes.start - 1
    # The first page of a container that lost its first names is asked for without a marker: the hard case.
    marker = container.name(before) if before >= container.deleted else ""
    return Ask(_query(api, marker=marker), expected)


def _query(
    api: Api, *, marker: str = "", prefix: str = "", delimiter: str = "", reverse: str = ""
) -> tuple[tuple[str, str], ...]:
    if api is Api.S3:
        pairs = [("list-type", "2"), ("max-keys", str(PAGE_NAMES)), ("start-after", marker)]
    else:
        pairs = [("format", "json"), ("limit", str(PAGE_NAMES)), ("marker", marker), ("reverse", reverse)]
    pairs += [("prefix", prefix), ("delimiter", delimiter)]
    return tuple((key, value) for key, value in pairs if value)


def _folder_of(container: Container, index: int) -> str:
    return container.name(index).partition("/")[0] + "/"


def _folder_starts(container: Container) -> Iterator[int]:
    step = max(1, container.names // FOLDERS)
    yield container.deleted
    yield from range(container.deleted - container.deleted % step + step, container.names, step)


def listed_in(api: Api, body: bytes) -> tuple[str, ...]:
    """The names and folders in the body of an answer, in their order. Raises ValueError."""
    if api is Api.SWIFT:
        return tuple(str(row.get("name", row.get("subdir"))) for row in json.loads(body))
    return tuple(name or folder for name, folder in _S3_ITEM.findall(body.decode()))
