"""Lifecycle rules: what is due with the versions of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord
from model.lifecycle import (
    DAY_MS,
    Act,
    Due,
    Filter,
    MarkerCleaning,
    PrefixForm,
    Rule,
    Rules,
    Status,
    Version,
    What,
    abort_of,
    abort_prefixes,
    due_ms,
    expiry_of,
    judge,
    pack_rules,
    prefixes,
    unpack_rules,
)
from model.stamp import make_stamp

MIDNIGHT_MS = 20_000 * DAY_MS
NOON_MS = MIDNIGHT_MS + DAY_MS // 2
KEY = "logs/today"


def data(made_ms: int, size: int = 100, **tags: str) -> Version:
    return Version(make_stamp(made_ms, 0, 1), What.DATA, size, tags)


def marker(made_ms: int) -> Version:
    return Version(make_stamp(made_ms, 0, 1), What.MARKER)


def due(rule: Rule, versions: list[Version], now_ms: int, name: str = KEY) -> list[tuple[Act, Version]]:
    return [(one.act, one.version) for one in judge(Rules((rule,)), name, versions, now_ms=now_ms)]


def test_days_are_counted_to_the_next_midnight() -> None:
    assert due_ms(NOON_MS, 1) == MIDNIGHT_MS + 2 * DAY_MS
    assert due_ms(MIDNIGHT_MS, 1) == MIDNIGHT_MS + DAY_MS
    assert due_ms(MIDNIGHT_MS + 1, 1) == MIDNIGHT_MS + 2 * DAY_MS


def test_days_of_a_trial_are_counted_to_the_millisecond() -> None:
    assert due_ms(NOON_MS, 3, 10_000) == NOON_MS + 30_000


def test_the_current_version_expires_when_its_days_have_passed() -> None:
    version = data(NOON_MS)
    rule = Rule("r", expire_days=3)
    last = MIDNIGHT_MS + 4 * DAY_MS
    assert due(rule, [version], last - 1) == []
    assert due(rule, [version], last) == [(Act.EXPIRE, version)]


def test_a_date_ends_whatever_is_current_then() -> None:
    version = data(NOON_MS)
    rule = Rule("r", expire_at_ms=MIDNIGHT_MS)
    assert due(rule, [version], NOON_MS) == [(Act.EXPIRE, version)]
    assert due(rule, [version], MIDNIGHT_MS - 1) == []


def test_a_noncurrent_version_is_counted_from_when_it_was_replaced() -> None:
    old, new = data(MIDNIGHT_MS - 100 * DAY_MS), data(MIDNIGHT_MS)
    rule = Rule("r", noncurrent_days=2)
    assert due(rule, [new, old], MIDNIGHT_MS + 2 * DAY_MS - 1) == []
    assert due(rule, [new, old], MIDNIGHT_MS + 2 * DAY_MS) == [(Act.REMOVE, old)]


def test_newer_noncurrent_versions_stay() -> None:
    versions = [data(MIDNIGHT_MS - age) for age in range(10)]
    rule = Rule("r", noncurrent_days=1, keep_noncurrent=5)
    found = due(rule, versions, MIDNIGHT_MS + 9 * DAY_MS)
    assert [version for _, version in found] == versions[6:]


def test_noncurrent_markers_are_not_counted_among_the_versions_that_stay() -> None:
    versions = [data(MIDNIGHT_MS), marker(MIDNIGHT_MS - 1), data(MIDNIGHT_MS - 2), data(MIDNIGHT_MS - 3)]
    rule = Rule("r", noncurrent_days=1, keep_noncurrent=1)
    assert due(rule, versions, MIDNIGHT_MS + 9 * DAY_MS) == [(Act.REMOVE, versions[3])]


def test_a_marker_with_nothing_under_it_is_cleaned_away() -> None:
    rule = Rule("r", markers=MarkerCleaning.YES)
    alone = marker(NOON_MS)
    assert due(rule, [alone], NOON_MS) == [(Act.REMOVE, alone)]
    assert due(rule, [alone, data(MIDNIGHT_MS)], NOON_MS + 9 * DAY_MS) == []


def test_days_of_expiration_clean_markers_too_once_they_are_old() -> None:
    rule = Rule("r", expire_days=5)
    alone = marker(MIDNIGHT_MS)
    assert due(rule, [alone], MIDNIGHT_MS + 5 * DAY_MS - 1) == []
    assert due(rule, [alone], MIDNIGHT_MS + 5 * DAY_MS) == [(Act.REMOVE, alone)]


def test_a_marker_that_hides_a_version_does_not_expire() -> None:
    rule = Rule("r", expire_days=1)
    assert due(rule, [marker(MIDNIGHT_MS), data(MIDNIGHT_MS - 1)], MIDNIGHT_MS + 99 * DAY_MS) == []


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(), True),
        (Filter(prefix="logs/"), True),
        (Filter(prefix="data/"), False),
        (Filter(larger_than=99), True),
        (Filter(larger_than=100), False),
        (Filter(smaller_than=101), True),
        (Filter(smaller_than=100), False),
        (Filter(tags=(("a", "1"),)), True),
        (Filter(tags=(("a", "1"), ("b", "2"))), True),
        (Filter(tags=(("a", "2"),)), False),
        (Filter(tags=(("c", "1"),)), False),
        (Filter(prefix="logs/", tags=(("a", "1"),), larger_than=1, smaller_than=1000), True),
    ],
)
def test_all_that_a_filter_says_must_hold(wanted: Filter, fits: bool) -> None:
    version = data(MIDNIGHT_MS, a="1", b="2")
    found = due(Rule("r", wanted, expire_days=1), [version], MIDNIGHT_MS + DAY_MS)
    assert found == ([(Act.EXPIRE, version)] if fits else [])


def test_filters_by_tag_or_size_are_not_for_markers() -> None:
    for wanted in (Filter(tags=(("a", "1"),)), Filter(smaller_than=1000)):
        rule = Rule("r", wanted, expire_days=1)
        assert due(rule, [marker(MIDNIGHT_MS)], MIDNIGHT_MS + 9 * DAY_MS) == []


def test_tags_that_are_not_known_may_be_the_ones_wanted() -> None:
    version = Version(make_stamp(MIDNIGHT_MS, 0, 1), What.DATA, 1, None)
    rule = Rule("r", Filter(tags=(("a", "1"),)), expire_days=1)
    assert due(rule, [version], MIDNIGHT_MS + DAY_MS) == [(Act.EXPIRE, version)]


def test_a_rule_that_is_disabled_does_nothing() -> None:
    rule = Rule("r", status=Status.DISABLED, expire_days=1, noncurrent_days=1, abort_days=1)
    versions = [data(MIDNIGHT_MS), data(MIDNIGHT_MS - 1)]
    assert due(rule, versions, MIDNIGHT_MS + 9 * DAY_MS) == []
    assert abort_of(Rules((rule,)), KEY, MIDNIGHT_MS) is None
    assert prefixes(Rules((rule,))) == abort_prefixes(Rules((rule,))) == []


def test_of_two_rules_the_earlier_one_counts() -> None:
    rules = Rules(
        (Rule("late", expire_days=9), Rule("soon", expire_days=2), Rule("no", Filter("x"), expire_days=1))
    )
    version = data(MIDNIGHT_MS)
    assert expiry_of(rules, KEY, version) == ("soon", MIDNIGHT_MS + 2 * DAY_MS)
    assert judge(rules, KEY, [version], now_ms=MIDNIGHT_MS + 2 * DAY_MS) == [
        Due(Act.EXPIRE, version, "soon", MIDNIGHT_MS + 2 * DAY_MS)
    ]


def test_an_upload_is_aborted_by_the_first_rule_to_come() -> None:
    rules = Rules(
        (Rule("a", Filter("logs/"), abort_days=7), Rule("b", abort_days=9), Rule("c", expire_days=1))
    )
    assert abort_of(rules, KEY, MIDNIGHT_MS) == ("a", MIDNIGHT_MS + 7 * DAY_MS)
    assert abort_of(rules, "other", MIDNIGHT_MS) == ("b", MIDNIGHT_MS + 9 * DAY_MS)
    assert abort_of(Rules((Rule("c", expire_days=1),)), KEY, MIDNIGHT_MS) is None


def test_a_walk_looks_only_where_rules_are() -> None:
    rules = Rules(
        (
            Rule("1", Filter("a/b"), expire_days=1),
            Rule("2", Filter("a"), noncurrent_days=1),
            Rule("3", Filter("c"), markers=MarkerCleaning.YES),
            Rule("4", Filter("d"), abort_days=1),
        )
    )
    assert prefixes(rules) == ["a", "c"]
    assert abort_prefixes(rules) == ["d"]


def test_a_damaged_configuration_is_not_taken_for_none() -> None:
    for packed in (b"\xc1", b"\x01", b"\x93\x02\xa0\x90", b"\x93\x01\xa0\x91\x91\x01"):
        with pytest.raises(CorruptRecord):
            unpack_rules(packed)


TEXTS = st.text(max_size=4)
FILTERS = st.builds(
    Filter,
    st.sampled_from(["", "a", "a/b", "é"]),
    st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
    st.none() | st.integers(0, 200),
    st.none() | st.integers(1, 200),
)
RULES = st.builds(
    Rule,
    TEXTS,
    FILTERS,
    st.sampled_from(Status),
    st.sampled_from(PrefixForm),
    st.integers(0, 5),
    st.none() | st.integers(0, 9).map(lambda day: MIDNIGHT_MS + day * DAY_MS),
    st.sampled_from(MarkerCleaning),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 5),
)
CONFIGURATIONS = st.builds(Rules, st.lists(RULES, min_size=1, max_size=4).map(tuple), TEXTS)


@given(CONFIGURATIONS)
def test_rules_come_back_from_their_register(rules: Rules) -> None:
    assert unpack_rules(pack_rules(rules)) == rules


@given(
    CONFIGURATIONS,
    st.lists(st.tuples(st.integers(0, 9 * 24), st.booleans()), min_size=1, max_size=5),
    st.integers(0, 20 * 24),
)
def test_what_is_due_stays_due_and_nothing_is_due_before_its_time(
    rules: Rules, made: list[tuple[int, bool]], now_hours: int
) -> None:
    hours = sorted(dict(made).items(), reverse=True)
    versions = [(data if is_data else marker)(MIDNIGHT_MS + hour * DAY_MS // 24) for hour, is_data in hours]
    now_ms = MIDNIGHT_MS + now_hours * DAY_MS // 24
    found = judge(rules, "a/b", versions, now_ms=now_ms)
    assert all(one.due_ms <= now_ms for one in found)
    later = judge(rules, "a/b", versions, now_ms=now_ms + DAY_MS)
    assert {(one.act, one.version.stamp) for one in found} <= {(one.act, one.version.stamp) for one in later}
    for one in found:
        is_current = one.version is versions[0]
        assert (one.act is Act.EXPIRE) == (is_current and one.version.what is What.DATA)
        assert not is_current or one.act is Act.EXPIRE or len(versions) == 1


@given(st.lists(st.text("ab", max_size=4), max_size=6), st.text("ab", max_size=6))
def test_prefixes_cover_exactly_the_names_of_the_rules(wanted: list[str], name: str) -> None:
    rules = Rules(tuple(Rule(prefix, Filter(prefix), expire_days=1) for prefix in wanted))
    covered = sum(name.startswith(prefix) for prefix in prefixes(rules))
    assert covered == any(name.startswith(prefix) for prefix in wanted)
