"""Pages of listings that are asked for again and again, kept with the digest of the index they show. Pure.

A page follows from the rows of its index and from the query. For each listing a majority of replicas tells
the digest of its rows anew; where it is the digest that the page was made under, the page is what they
would send. So nothing here is trusted because it is young, or has to be dropped when an index changes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from model.listing import Page, Query

PAGES_BYTES_MAX: Final = 32 << 20
"""What kept pages may take, in bytes, about half of it for the forms that clients get."""
SEEN_MAX: Final = 10_000
_ITEM_BYTES: Final = 200
"""What Python adds to the name and the row of an item."""

_Key = tuple[bytes, Query]


class KnownPage(NamedTuple):
    """A page and the digest of the index that it is a page of."""

    page: Page
    digest: int
    cost_bytes: int


class PageCache:
    """Keeps the pages that are worth it: a walk through a container, which asks for each once, keeps none."""

    def __init__(self, bytes_max: int = PAGES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pages: OrderedDict[_Key, KnownPage] = OrderedDict()
        self._seen: OrderedDict[_Key, int] = OrderedDict()

    def find(self, index: bytes, query: Query) -> KnownPage | None:
        """Return the page kept for a query on an index; it holds as long as the index has its digest."""
        known = self._pages.get((index, query))
        if known is not None:
            self._pages.move_to_end((index, query))
        return known

    def note(self, index: bytes, query: Query, page: Page, digest: int) -> None:
        """Take note of a page, and keep it where the same was asked for before."""
        key = (index, query)
        if self._seen.pop(key, None) == digest:
            self._keep(key, page, digest)
            return
        self._seen[key] = digest
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def drop(self, index: bytes, query: Query) -> None:
        """Let go of a page whose index has changed."""
        known = self._pages.pop((index, query), None)
        if known is not None:
            self._bytes -= known.cost_bytes

    def _keep(self, key: _Key, page: Page, digest: int) -> None:
        cost_bytes = 2 * sum(len(name) + len(row) + _ITEM_BYTES for name, row in page.items)
        if cost_bytes > self._bytes_max // 4:
            return
        self.drop(*key)
        self._pages[key] = KnownPage(page, digest, cost_bytes)
        self._bytes += cost_bytes
        while self._bytes > self._bytes_max:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= oldest.cost_bytes
