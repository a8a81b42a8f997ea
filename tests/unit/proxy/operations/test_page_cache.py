"""Pages are kept when they come again, under the digest they were made of, within a bound."""

from __future__ import annotations

from model.listing import Page, Query
from proxy.operations.page_cache import PageCache

INDEX = b"i" * 16


def page_of(count: int = 2, name_bytes: int = 10) -> Page:
    return Page([(b"n" * name_bytes, b"row")] * count, truncated=False)


def test_the_first_sight_of_a_page_keeps_nothing_and_the_second_keeps_it() -> None:
    cache = PageCache()
    page = page_of()
    cache.note(INDEX, Query(), page, 7)
    assert cache.find(INDEX, Query()) is None
    cache.note(INDEX, Query(), page, 7)
    known = cache.find(INDEX, Query())
    assert known is not None
    assert known.page is page
    assert known.digest == 7
    assert cache.find(INDEX, Query(limit=5)) is None
    assert cache.find(b"j" * 16, Query()) is None


def test_a_page_of_another_digest_counts_as_a_first_sight() -> None:
    cache = PageCache()
    cache.note(INDEX, Query(), page_of(), 7)
    cache.note(INDEX, Query(), page_of(), 8)
    assert cache.find(INDEX, Query()) is None
    cache.note(INDEX, Query(), page_of(), 8)
    assert cache.find(INDEX, Query()) is not None


def test_a_dropped_page_is_gone_and_its_room_is_given_back() -> None:
    cache = PageCache(20_000)
    for _ in range(100):
        cache.note(INDEX, Query(), page_of(), 7)
        cache.note(INDEX, Query(), page_of(), 7)
        assert cache.find(INDEX, Query()) is not None
        cache.drop(INDEX, Query())
        assert cache.find(INDEX, Query()) is None


def test_the_pages_longest_unused_make_room() -> None:
    cache = PageCache(8_000)
    queries = [Query(limit=number + 1) for number in range(20)]
    for query in queries:
        cache.note(INDEX, query, page_of(), 7)
        cache.note(INDEX, query, page_of(), 7)
        cache.find(INDEX, queries[0])
    kept = [query.limit for query in queries if cache.find(INDEX, query) is not None]
    assert 2 < len(kept) < 12
    assert kept[0] == 1
    assert kept[1:] == list(range(22 - len(kept), 21))


def test_a_page_that_would_push_most_others_out_is_not_kept() -> None:
    cache = PageCache(8_000)
    for _ in range(3):
        cache.note(INDEX, Query(), page_of(20), 7)
    assert cache.find(INDEX, Query()) is None
