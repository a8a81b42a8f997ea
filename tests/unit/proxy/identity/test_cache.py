"""The cache never answers with anything older than it promises, and loads a name once at a time."""

import asyncio

import pytest

from proxy.identity.cache import FreshCache


class _Source:
    """Counts loads, and answers when it is let to."""

    def __init__(self) -> None:
        self.loads = 0
        self.value: str | None = "one"
        self.now_ms = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()

    async def load(self, name: str) -> str | None:
        self.loads += 1
        self.began.set()
        value = self.value
        await self.gate.wait()
        return value

    def cache(self, entries_max: int = 10) -> FreshCache[str]:
        return FreshCache(
            self.load, fresh_ms=100, stale_ms=200, entries_max=entries_max, now_ms=lambda: self.now_ms
        )


def test_a_fresh_answer_costs_no_load() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        assert [await cache.get("a") for _ in range(3)] == ["one"] * 3
        assert source.loads == 1

    asyncio.run(check())


def test_an_ageing_answer_is_given_while_it_is_renewed() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        await cache.get("a")
        source.value = "two"
        source.now_ms = 150
        assert await cache.get("a") == "one"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await cache.get("a") == "two"
        assert source.loads == 2

    asyncio.run(check())


def test_the_age_counts_from_before_the_load() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        source.gate.clear()
        getting = asyncio.create_task(cache.get("a"))
        await source.began.wait()
        source.now_ms = 250
        source.gate.set()
        assert await getting == "one"
        source.value = "two"
        assert await cache.get("a") == "two"

    asyncio.run(check())


def test_absence_is_never_kept() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        source.value = None
        assert await cache.get("a") is None
        source.value = "one"
        assert await cache.get("a") == "one"

    asyncio.run(check())


def test_many_who_ask_at_once_share_one_load_and_one_who_leaves_does_not_end_it() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        source.gate.clear()
        asking = [asyncio.create_task(cache.get("a")) for _ in range(5)]
        await source.began.wait()
        asking[0].cancel()
        source.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await asking[0]
        assert await asyncio.gather(*asking[1:]) == ["one"] * 4
        assert source.loads == 1

    asyncio.run(check())


def test_what_is_forgotten_while_it_is_loaded_is_loaded_again() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache()
        source.gate.clear()
        old = asyncio.create_task(cache.get("a"))
        await source.began.wait()
        source.value = "two"
        cache.forget("a")
        source.gate.set()
        assert await old == "one"
        assert await cache.get("a") == "two"

    asyncio.run(check())


def test_it_holds_only_so_many() -> None:
    async def check() -> None:
        source = _Source()
        cache = source.cache(entries_max=2)
        for name in ("a", "b", "c", "c"):
            await cache.get(name)
        assert source.loads == 3
        await cache.get("a")
        assert source.loads == 4

    asyncio.run(check())
