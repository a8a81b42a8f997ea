"""Master keys in the colony: rotation loses nothing, whatever breaks off or happens at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest

from model.errors import (
    Conflict,
    CorruptRecord,
    InvalidName,
    MasterKeyDisabled,
    MasterKeyLost,
    NoSuchMasterKey,
    NotEnoughReplicas,
    PreconditionFailed,
)
from proxy.encryption.local_keys import KEYS, LocalKeys
from proxy.encryption.master_keys import Standing
from proxy.encryption.sealed import OWN_KEY
from proxy.operations.colony import Colony
from tests.unit.proxy.s3.memory_colony import MemoryColony

T = TypeVar("T")
CLUSTER_KEY, BOUND = b"c" * 32, b"bound"


class Bench:
    """Processes over one colony in memory, each with a key manager of its own."""

    def __init__(self) -> None:
        self.colony = MemoryColony(0)
        self.elapsed_ms = 0

    def process(self, cluster_key: bytes = CLUSTER_KEY) -> LocalKeys:
        """A new process of the colony."""
        return LocalKeys(
            cast(Colony, self.colony),
            cluster_key,
            now_ms=lambda: 1_000_000 + self.elapsed_ms,
            elapsed_ms=lambda: self.elapsed_ms,
        )

    @property
    def names(self) -> set[str]:
        """What is kept of keys."""
        return set(self.colony.objects.get(KEYS, {}))


@pytest.fixture
def bench() -> Bench:
    """A colony without keys."""
    return Bench()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of work."""
    return asyncio.run(work)


def test_a_data_key_opens_in_every_process_that_has_the_cluster_key(bench: Bench) -> None:
    run(bench.process().add("k"))
    made = run(bench.process().make("k", BOUND))
    assert run(bench.process().open("k", made.wrapped, BOUND)) == made.key
    with pytest.raises(CorruptRecord):
        run(bench.process().open("k", made.wrapped, b"another object"))
    with pytest.raises(MasterKeyLost, match="another cluster key"):
        run(bench.process(b"x" * 32).open("k", made.wrapped, BOUND))


def test_no_key_is_stored_in_the_clear(bench: Bench) -> None:
    manager = bench.process()
    run(manager.add("k"))
    made = run(manager.make("k", BOUND))
    (master,) = manager._opened.values()
    for _, data, _ in bench.colony.objects[KEYS].values():
        assert master not in data
        assert made.key not in data


def test_the_colonys_own_key_is_made_when_it_is_first_needed(bench: Bench) -> None:
    one, two = bench.process(), bench.process()

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(manager.make(OWN_KEY, BOUND) for manager in (one, two, one)))

    for made in run(at_once()):
        assert run(bench.process().open(OWN_KEY, made.wrapped, BOUND)) == made.key
    with pytest.raises(NoSuchMasterKey):
        run(one.make("other", BOUND))


def test_a_rotated_key_still_opens_what_its_older_versions_sealed(bench: Bench) -> None:
    manager, other = bench.process(), bench.process()
    first = run(manager.add("k"))
    made = [run(other.make("k", BOUND))]
    for _ in range(3):
        run(manager.rotate("k"))
        bench.elapsed_ms += 2000
        made.append(run(other.make("k", BOUND)))
    assert len({one.wrapped[1:9] for one in made}) == 4
    assert made[0].wrapped[1:9].hex() == first.version
    for one in made:
        assert run(bench.process().open("k", one.wrapped, BOUND)) == one.key
    assert len(run(manager.versions("k"))) == 4


@pytest.mark.parametrize("puts", [0, 1])
def test_a_rotation_that_breaks_off_leaves_the_key_as_it_was_or_rotated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, puts: int
) -> None:
    run(bench.process().add("k"))
    made = run(bench.process().make("k", BOUND))
    put, done = bench.colony.put_object, 0

    async def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal done
        if done == puts:
            raise NotEnoughReplicas("the process dies here")
        done += 1
        return await put(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(bench.colony, "put_object", failing)
        with pytest.raises(NotEnoughReplicas):
            run(bench.process().rotate("k"))
    # A version that nothing names does no harm; everything opens, and the next rotation succeeds.
    fresh = bench.process()
    assert run(fresh.open("k", made.wrapped, BOUND)) == made.key
    later = run(fresh.make("k", BOUND))
    rotated = run(fresh.rotate("k"))
    assert run(fresh.make("k", BOUND)).wrapped[1:9].hex() == rotated.version
    assert run(bench.process().open("k", later.wrapped, BOUND)) == later.key
    assert len(run(fresh.versions("k"))) == 2 + puts


def test_two_rotations_at_once_lose_no_version(bench: Bench) -> None:
    one, two = bench.process(), bench.process()
    run(one.add("k"))

    async def at_once() -> tuple[Any, Any]:
        return await asyncio.gather(one.rotate("k"), two.rotate("k"))

    rotated = {record.version for record in run(at_once())}
    kept = {version.version for version in run(one.versions("k"))}
    assert rotated < kept
    assert run(one.find("k")).version in rotated


def test_a_disabled_key_neither_seals_nor_opens_until_it_is_enabled(bench: Bench) -> None:
    manager, other = bench.process(), bench.process()
    run(manager.add("k"))
    made = run(other.make("k", BOUND))
    run(manager.set_standing("k", Standing.DISABLED))
    bench.elapsed_ms += 2000
    for work in (other.make("k", BOUND), other.open("k", made.wrapped, BOUND)):
        with pytest.raises(MasterKeyDisabled):
            run(work)
    run(manager.set_standing("k", Standing.ENABLED))
    bench.elapsed_ms += 2000
    assert run(other.open("k", made.wrapped, BOUND)) == made.key


def test_only_a_disabled_key_is_removed_and_its_versions_go_with_it(bench: Bench) -> None:
    manager = bench.process()
    for key_id in ("k", "k/2"):
        run(manager.add(key_id))
    with pytest.raises(Conflict, match="disable it first"):
        run(manager.remove("k"))
    run(manager.set_standing("k", Standing.DISABLED))
    run(manager.remove("k"))
    with pytest.raises(NoSuchMasterKey):
        run(manager.find("k"))
    assert {name.rpartition("/")[0] for name in bench.names} == {"key/k", "version/k/2"}
    assert [record.id for record in run(manager.keys())] == ["k/2"]


def test_a_lost_version_is_named_and_comes_back_from_a_copy(bench: Bench) -> None:
    manager = bench.process()
    run(manager.add("k"))
    made = run(manager.make("k", BOUND))
    record, versions = run(manager.rotate("k")), run(manager.versions("k"))
    for name in bench.names:
        run(bench.colony.delete_object(KEYS.object(name)))
    with pytest.raises(NoSuchMasterKey):
        run(bench.process().open("k", made.wrapped, BOUND))
    with pytest.raises(MasterKeyLost, match="another cluster key"):
        run(bench.process(b"x" * 32).restore(record, versions))
    with pytest.raises(Conflict, match="lacks its newest version"):
        run(bench.process().restore(record, versions[:0]))
    run(bench.process().restore(record, versions))
    assert run(bench.process().open("k", made.wrapped, BOUND)) == made.key
    run(bench.colony.delete_object(KEYS.object(f"version/k/{made.wrapped[1:9].hex()}")))
    with pytest.raises(MasterKeyLost, match=f"version {made.wrapped[1:9].hex()} of key 'k'"):
        run(bench.process().open("k", made.wrapped, BOUND))


def test_a_key_is_added_once_and_under_an_id_that_clients_can_send(bench: Bench) -> None:
    manager = bench.process()
    run(manager.add("alias/team.a:1"))
    with pytest.raises(PreconditionFailed):
        run(manager.add("alias/team.a:1"))
    for odd in ("", " k", "k\n", "k" * 257, "ü", "/k"):
        with pytest.raises(InvalidName):
            run(manager.add(odd))
