"""Users and keys live in the colony, and what changes there is felt within two seconds."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from model.errors import CorruptRecord, InvalidName, Unavailable
from model.names import HIDDEN, SYSTEM_ACCOUNT
from proxy.identity.directory import AlreadyExists, Directory, NoSuchKey, NoSuchUser
from proxy.identity.first_admin import ensure_first_admin
from proxy.identity.sealing import PasswordMemory, Sealer, derive_key
from proxy.identity.users import ADMIN, RESELLER_ADMIN
from proxy.operations.colony import Colony
from tests.unit.proxy.swift.fake_colony import FakeColony

Result = TypeVar("Result")
KEY = b"c" * 32


@dataclass
class Bench:
    """One colony and two processes that look users up in it; `passed_ms` is their monotonic clock."""

    fake: FakeColony = field(default_factory=FakeColony)
    passed_ms: int = 0

    def directory(self, key: bytes = KEY) -> Directory:
        """Return the directory of one more process."""
        return Directory(
            cast(Colony, self.fake), key, now_ms=lambda: self.fake.now_ms, elapsed_ms=lambda: self.passed_ms
        )


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def test_a_user_signs_in_by_its_password_alone() -> None:
    async def check() -> None:
        bench = Bench()
        directory = bench.directory()
        await directory.add_user("acct:ann", "secret", roles=(ADMIN, ".service"), display_name="Ann")
        user = await directory.authenticate("acct:ann", "secret")
        assert user is not None
        assert (user.id, user.account, user.is_admin, *user.groups) == ("acct:ann", "acct", True, "service")
        assert await directory.authenticate("acct:ann", "wrong") is None
        assert await directory.authenticate("acct:bob", "secret") is None
        await directory.add_user("acct:locked", "")
        assert await directory.authenticate("acct:locked", "") is None

    _run(check())


def test_everything_is_kept_out_of_sight_and_no_secret_in_clear() -> None:
    async def check() -> None:
        bench = Bench()
        directory = bench.directory()
        await directory.add_user("acct:ann", "correct-horse")
        await directory.add_key("acct:ann", key_id="AK", secret="battery-staple")
        for path, (_, body, listed) in bench.fake.objects.items():
            assert path.account == SYSTEM_ACCOUNT
            assert path.container.startswith(HIDDEN)
            assert b"correct-horse" not in body
            assert b"battery-staple" not in body
            assert "battery-staple" not in repr(listed)

    _run(check())


def test_a_key_speaks_for_its_user() -> None:
    async def check() -> None:
        bench = Bench()
        directory = bench.directory()
        await directory.add_user("test:tester", "testing", roles=(ADMIN,))
        made = await directory.add_key("test:tester")
        assert len(made.id) == 20
        key = await bench.directory().key(made.id)
        assert key is not None
        assert (key.secret, key.account, key.user.id) == (made.secret, "test", "test:tester")
        await directory.add_key("test:tester", key_id="test:tester", secret="testing")
        assert (await bench.directory().key("test:tester")) is not None
        assert await directory.key("unknown") is None
        assert await directory.key("x" * 10_000) is None

    _run(check())


def test_a_removed_key_stops_working_everywhere_within_two_seconds() -> None:
    async def check() -> None:
        bench = Bench()
        admin, worker = bench.directory(), bench.directory()
        await admin.add_user("acct:ann", "")
        key = await admin.add_key("acct:ann")
        assert await worker.key(key.id) is not None
        await admin.remove_key(key.id)
        bench.passed_ms += 1900
        assert await worker.key(key.id) is None
        with pytest.raises(NoSuchKey):
            await admin.remove_key(key.id)

    _run(check())


def test_a_removed_user_takes_its_keys_along() -> None:
    async def check() -> None:
        bench = Bench()
        admin, worker = bench.directory(), bench.directory()
        await admin.add_user("acct:ann", "")
        key = await admin.add_key("acct:ann")
        assert await worker.key(key.id) is not None
        await admin.remove_user("acct:ann")
        bench.passed_ms += 1900
        assert await worker.user("acct:ann") is None
        assert await worker.key(key.id) is None
        assert await admin.keys() == []

    _run(check())


def test_users_and_keys_expire_and_may_be_disabled() -> None:
    async def check() -> None:
        bench = Bench()
        directory = bench.directory()
        soon_s = bench.fake.now_ms // 1000 + 10
        await directory.add_user("acct:ann", "", expires_s=soon_s)
        await directory.add_user("acct:bob", "")
        short = await directory.add_key("acct:bob", expires_s=soon_s)
        long = await directory.add_key("acct:bob")
        assert await directory.user("acct:ann") is not None
        assert await directory.key(short.id) is not None
        bench.fake.now_ms += 11_000
        assert await directory.user("acct:ann") is None
        assert await directory.key(short.id) is None
        assert await directory.key(long.id) is not None
        await directory.disable_user("acct:bob")
        assert await directory.key(long.id) is None
        await directory.enable_user("acct:bob")
        assert await directory.key(long.id) is not None

    _run(check())


def test_changes_count_up_the_generation_that_tokens_carry() -> None:
    async def check() -> None:
        directory = Bench().directory()
        first = await directory.add_user("acct:ann", "one")
        second = await directory.set_roles("acct:ann", (RESELLER_ADMIN,))
        third = await directory.set_password("acct:ann", "two")
        assert first.generation < second.generation < third.generation
        assert third.is_reseller_admin
        assert (await directory.find_user("acct:ann")) == third
        with pytest.raises(NoSuchUser):
            await directory.set_password("acct:bob", "x")

    _run(check())


def test_a_new_password_works_at_once_in_every_process() -> None:
    async def check() -> None:
        bench = Bench()
        admin, worker = bench.directory(), bench.directory()
        await admin.add_user("acct:ann", "one")
        assert await worker.authenticate("acct:ann", "one") is not None
        await admin.set_password("acct:ann", "two")
        assert await worker.authenticate("acct:ann", "two") is not None
        assert await worker.authenticate("acct:ann", "one") is None

    _run(check())


def test_names_are_taken_once_and_must_be_names() -> None:
    async def check() -> None:
        directory = Bench().directory()
        await directory.add_user("acct:ann", "")
        await directory.add_key("acct:ann", key_id="AK")
        with pytest.raises(AlreadyExists):
            await directory.add_user("acct:ann", "")
        with pytest.raises(AlreadyExists):
            await directory.add_key("acct:ann", key_id="AK")
        with pytest.raises(NoSuchUser):
            await directory.add_key("acct:nobody")
        for bad in ("ann", ":ann", "acct:", "a/b:c", "AUTH_a:b", ".a:b", "a:b,c", "\0a:b"):
            with pytest.raises(InvalidName):
                await directory.add_user(bad, "")
        for bad in ("a b", "a/b", "a,b", "\0a"):
            with pytest.raises(InvalidName):
                await directory.add_key("acct:ann", key_id=bad)

    _run(check())


def test_users_and_keys_are_listed() -> None:
    async def check() -> None:
        directory = Bench().directory()
        assert await directory.is_empty()
        for user_id in ("b:x", "a:y", "a:x"):
            await directory.add_user(user_id, "")
        await directory.add_key("a:x", key_id="K2", description="laptop")
        await directory.add_key("b:x", key_id="K1")
        assert not await directory.is_empty()
        assert [user.id for user in await directory.users()] == ["a:x", "a:y", "b:x"]
        assert [user.id for user in await directory.users("a")] == ["a:x", "a:y"]
        assert [(key.id, key.user_id) for key in await directory.keys()] == [("K1", "b:x"), ("K2", "a:x")]
        assert [key.description for key in await directory.keys("a:x")] == ["laptop"]

    _run(check())


def test_the_first_admin_is_made_once() -> None:
    async def check() -> None:
        directory = Bench().directory()
        first = await ensure_first_admin(directory)
        assert first is not None
        user = await directory.authenticate(first.user_id, first.password)
        assert user is not None
        assert user.is_reseller_admin
        key = await directory.key(first.access_key)
        assert key is not None
        assert key.secret == first.secret
        assert await ensure_first_admin(directory) is None

    _run(check())


def test_a_secret_opens_only_with_the_colonys_key_and_its_own_id() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("AK", "secret")
    assert sealer.open("AK", sealed) == "secret"
    for opener, key_id, text in (
        (sealer, "OTHER", sealed),
        (Sealer(b"o" * 32), "AK", sealed),
        (sealer, "AK", sealed[:-1]),
        (sealer, "AK", b"\x02" + sealed[1:]),
        (sealer, "AK", b""),
    ):
        with pytest.raises(CorruptRecord):
            opener.open(key_id, text)
    assert derive_key(KEY, "a") != derive_key(KEY, "b")


def test_a_password_is_remembered_for_a_while_only() -> None:
    memory = PasswordMemory(keep_ms=100, entries_max=2)
    memory.remember("hash", "word", 1000)
    assert memory.knows("hash", "word", 1099)
    assert not memory.knows("hash", "word", 1100)
    assert not memory.knows("other", "word", 1000)
    assert not memory.knows("hash", "other", 1000)
    memory.remember("h2", "w", 1000)
    memory.remember("h3", "w", 1000)
    assert not memory.knows("hash", "word", 1000)


def test_a_colony_that_cannot_answer_is_told_and_not_taken_for_an_absent_user() -> None:
    async def check() -> None:
        bench = Bench()
        directory = bench.directory()
        await directory.add_user("acct:ann", "")
        assert await directory.user("acct:ann") is not None

        async def fails(path: object) -> None:
            raise Unavailable("no majority")

        bench.fake.open_object = fails  # type: ignore[assignment, method-assign]
        bench.passed_ms += 1500
        assert await directory.user("acct:ann") is not None
        bench.passed_ms += 500
        with pytest.raises(Unavailable):
            await directory.user("acct:ann")

    _run(check())


def test_an_e_mail_address_names_one_user_whatever_its_case() -> None:
    async def check() -> None:
        directory = Bench().directory()
        await directory.add_user("acct:ann", "", email="Ann@example.org")
        found = await directory.user_by_email("ann@EXAMPLE.org")
        assert found is not None
        assert (found.id, found.email) == ("acct:ann", "Ann@example.org")
        for taken in ("ann@example.org", "ANN@example.org"):
            with pytest.raises(AlreadyExists):
                await directory.add_user("acct:bob", "", email=taken)
        assert await directory.user("acct:bob") is None
        for senseless in ("ann", "@example.org", "ann@", "a/b@c", "ann @example.org", "x" * 251 + "@y.z"):
            with pytest.raises(InvalidName):
                await directory.add_user("acct:bob", "", email=senseless)
        assert await directory.user_by_email("") is None
        assert await directory.user_by_email("nobody@example.org") is None

    _run(check())


def test_an_e_mail_address_is_free_again_when_its_user_lets_go_of_it() -> None:
    async def check() -> None:
        directory = Bench().directory()
        await directory.add_user("acct:ann", "", email="ann@example.org")
        await directory.add_user("acct:bob", "", email="bob@example.org")
        with pytest.raises(AlreadyExists):
            await directory.set_email("acct:bob", "ann@example.org")
        await directory.set_email("acct:ann", "")
        assert await directory.user_by_email("ann@example.org") is None
        await directory.set_email("acct:bob", "ann@example.org")
        found = await directory.user_by_email("ann@example.org")
        assert found is not None
        assert found.id == "acct:bob"
        await directory.remove_user("acct:bob")
        assert await directory.user_by_email("ann@example.org") is None
        await directory.add_user("acct:eve", "", email="ann@example.org")

    _run(check())
