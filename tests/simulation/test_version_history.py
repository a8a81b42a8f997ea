"""The model that judges storms over versions finds what is wrong, and accepts what may be."""

from __future__ import annotations

from tests.support.version_history import MARKER, Gone, Listed, VersionHistory


def _two() -> VersionHistory:
    history = VersionHistory()
    for name in ("a", "b"):
        assert history.done(history.begin(name), f"id-{name}") is None
    return history


def _listing(*names: str) -> list[Listed]:
    return [Listed(f"id-{name}", name, 0, index == 0) for index, name in enumerate(names)]


def test_an_acknowledged_version_has_to_be_listed_once_and_in_its_place() -> None:
    assert _two().saw_listing(_listing("b", "a")) == []
    assert _two().saw_listing(_listing("a", "b"))
    assert _two().saw_listing(_listing("b"))
    assert _two().saw_listing(_listing("b", "a", "a"))
    assert _two().saw_listing(_listing("c", "b", "a"))


def test_a_deleted_version_must_not_come_back() -> None:
    history = _two()
    history.versions[1].gone = Gone.YES
    assert history.saw_current("id-b", "b")
    assert history.saw(history.versions[1], found=True)
    assert history.saw_listing(_listing("b", "a"))
    assert history.saw_current("id-a", "a") is None


def test_a_deletion_of_open_outcome_is_settled_by_the_first_read_that_misses_the_version() -> None:
    history = _two()
    history.versions[1].gone = Gone.PERHAPS
    assert history.saw_listing(_listing("b", "a")) == history.saw_listing(_listing("a")) == []
    assert history.saw_current("id-a", "a") is None
    assert history.saw(history.versions[1], found=True)


def test_a_write_of_open_outcome_may_be_there_or_not_until_it_was_read() -> None:
    history = _two()
    history.begin(MARKER)
    assert history.saw_current("id-b", "b") is None
    assert history.saw_listing(_listing("b", "a")) == []
    assert history.saw_current("id-m", MARKER) is None
    assert history.saw_listing(_listing("b", "a"))
    marker = Listed("id-m", MARKER, 0, True)
    assert history.saw_listing([marker, *_listing("b", "a")])[0].startswith("not the first alone")


def test_a_failed_write_on_a_condition_cannot_stand_above_what_was_written_later() -> None:
    history = VersionHistory()
    failed = history.begin("failed")
    failed.not_after = next(history.moments)
    assert history.done(history.begin("b"), "id-b") is None
    assert history.saw_listing(_listing("failed", "b"))
    assert history.saw_listing(_listing("b", "failed")) == []
