"""Lifecycle rules: which objects, versions and uploads of a bucket a rule ends, and when. Pure.

`judge` takes all versions of one key and says what is due now. It judges by the time at which a version
was made, or stopped being current, and never by when it is asked: so whoever judges the same versions by
the same rules comes to the same answer.

Source: Amazon S3 user guide, "Lifecycle configuration elements" and "Expiring objects".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgpack

from model.errors import CorruptRecord
from model.stamp import Stamp, stamp_ms

LIFECYCLE: Final = "set:lifecycle"
"""Register of a container that holds its rules."""

FORMAT_VERSION: Final = 1
DAY_MS: Final = 86_400_000
RULES_MAX: Final = 1000


class PrefixForm(Enum):
    """Where a rule said its prefix: shown again as it was said."""

    FILTER = "filter"
    RULE = "rule"
    """The form before there were filters."""


class MarkerCleaning(Enum):
    """Whether a rule removes delete markers under which nothing is left."""

    NO = "no"
    YES = "yes"


class Status(Enum):
    """Whether a rule is in force."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which keys a rule is for: all that is said must hold. Sizes in bytes, None where not said."""

    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    larger_than: int | None = None
    smaller_than: int | None = None

    @property
    def by_object(self) -> bool:
        """Whether the filter looks at more of an object than its name."""
        return bool(self.tags) or self.larger_than is not None or self.smaller_than is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Days are 0, and moments None, where the rule does not have that action.

    `keep_noncurrent` is how many noncurrent versions of a key stay whatever their age.
    """

    id: str
    filter: Filter = field(default_factory=Filter)
    status: Status = Status.ENABLED
    prefix_form: PrefixForm = PrefixForm.FILTER
    expire_days: int = 0
    expire_at_ms: int | None = None
    markers: MarkerCleaning = MarkerCleaning.NO
    noncurrent_days: int = 0
    keep_noncurrent: int = 0
    abort_days: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """The lifecycle configuration of a bucket; `smallest` is x-amz-transition-default-minimum-object-size."""

    rules: tuple[Rule, ...]
    smallest: str = ""

    @property
    def enabled(self) -> Iterator[Rule]:
        """The rules in force."""
        return (rule for rule in self.rules if rule.status is Status.ENABLED)


class What(Enum):
    """What a version of a key is."""

    DATA = "data"
    MARKER = "marker"


@dataclass(frozen=True, slots=True)
class Version:
    """A version as the rules look at it; `tags` are None where they are not known and may be any."""

    stamp: Stamp
    what: What
    size: int = 0
    tags: Mapping[str, str] | None = None


class Act(Enum):
    """What is to be done with a version."""

    EXPIRE = "expire"
    """The current version: hidden by a delete marker, or deleted where the bucket keeps no versions."""
    REMOVE = "remove"
    """Deleted for good: a noncurrent version, or a marker that hides nothing."""


@dataclass(frozen=True, slots=True)
class Due:
    """What has become due: an act on one version, by a rule, since a moment (milliseconds)."""

    act: Act
    version: Version
    rule_id: str
    due_ms: int


# Judging.


def judge(
    rules: Rules, name: str, versions: Sequence[Version], *, now_ms: int, day_ms: int = DAY_MS
) -> list[Due]:
    """Return what is due with the versions of a key, newest first; the first is the current one.

    `day_ms` is the length of a day: any but the real one is for trials.
    """
    found: list[Due] = []
    if not versions:
        return found
    fitting = [rule for rule in rules.enabled if name.startswith(rule.filter.prefix)]
    current = versions[0]
    ended = _earliest(
        (rule.id, at_ms)
        for rule in fitting
        if (at_ms := _current_due(rule, current, alone=len(versions) == 1, day_ms=day_ms)) is not None
    )
    if ended is not None and ended[1] <= now_ms:
        act = Act.EXPIRE if current.what is What.DATA else Act.REMOVE
        found.append(Due(act, current, *ended))
    newer_count = 0
    for successor, version in pairwise(versions):
        since_ms = stamp_ms(successor.stamp)
        ended = _earliest(
            (rule.id, due_ms(since_ms, rule.noncurrent_days, day_ms))
            for rule in fitting
            if rule.noncurrent_days and newer_count >= rule.keep_noncurrent and matches(rule.filter, version)
        )
        if ended is not None and ended[1] <= now_ms:
            found.append(Due(Act.REMOVE, version, *ended))
        newer_count += version.what is What.DATA
    return found


def _current_due(rule: Rule, current: Version, *, alone: bool, day_ms: int) -> int | None:
    """Return when a rule ends the current version, or None for never."""
    if not matches(rule.filter, current):
        return None
    if current.what is What.MARKER:
        if not alone:
            return None
        if rule.markers is MarkerCleaning.YES:
            return stamp_ms(current.stamp)
    return _expiry(rule, stamp_ms(current.stamp), day_ms)


def _expiry(rule: Rule, made_ms: int, day_ms: int) -> int | None:
    if rule.expire_days:
        return due_ms(made_ms, rule.expire_days, day_ms)
    return rule.expire_at_ms


def matches(wanted: Filter, version: Version) -> bool:
    """Say whether a filter is for a version, the prefix aside; a marker has neither tags nor a size."""
    if version.what is What.MARKER:
        return not wanted.by_object
    if wanted.larger_than is not None and version.size <= wanted.larger_than:
        return False
    if wanted.smaller_than is not None and version.size >= wanted.smaller_than:
        return False
    tags = version.tags
    return tags is None or all(tags.get(key) == value for key, value in wanted.tags)


def expiry_of(rules: Rules, name: str, version: Version) -> tuple[str, int] | None:
    """Return rule and moment (milliseconds) at which a current version with data expires, None for never."""
    return _earliest(
        (rule.id, at_ms)
        for rule in rules.enabled
        if name.startswith(rule.filter.prefix)
        and matches(rule.filter, version)
        and (at_ms := _expiry(rule, stamp_ms(version.stamp), DAY_MS)) is not None
    )


def abort_of(rules: Rules, name: str, begun_ms: int, day_ms: int = DAY_MS) -> tuple[str, int] | None:
    """Return rule and moment (milliseconds) at which an upload of a key is aborted, None for never."""
    return _earliest(
        (rule.id, due_ms(begun_ms, rule.abort_days, day_ms))
        for rule in rules.enabled
        if rule.abort_days and name.startswith(rule.filter.prefix)
    )


def due_ms(since_ms: int, days: int, day_ms: int = DAY_MS) -> int:
    """Return the moment some days after another, on to the next midnight UTC where days are real ones."""
    due = since_ms + days * day_ms
    return -(-due // DAY_MS) * DAY_MS if day_ms == DAY_MS else due


def _earliest(found: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    return min(found, key=lambda one: one[1], default=None)


# What a walk over a bucket must look at.


def prefixes(rules: Rules) -> list[str]:
    """Return the fewest prefixes, in order, that cover the keys whose versions a rule in force may end."""
    return _fewest(
        rule.filter.prefix
        for rule in rules.enabled
        if rule.expire_days
        or rule.expire_at_ms is not None
        or rule.noncurrent_days
        or rule.markers is MarkerCleaning.YES
    )


def abort_prefixes(rules: Rules) -> list[str]:
    """Return the fewest prefixes, in order, that cover the keys whose uploads a rule in force aborts."""
    return _fewest(rule.filter.prefix for rule in rules.enabled if rule.abort_days)


def _fewest(wanted: Iterable[str]) -> list[str]:
    found: list[str] = []
    for prefix in sorted(set(wanted)):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found


# Registers.


def pack_rules(rules: Rules) -> bytes:
    """Return the register of a configuration; none of its rules is an empty, hence removed, register."""
    if not rules.rules:
        return b""
    packed: bytes = msgpack.packb(
        (FORMAT_VERSION, rules.smallest, [_fields(rule) for rule in rules.rules]),
        unicode_errors="surrogateescape",
    )
    return packed


def _fields(rule: Rule) -> tuple[object, ...]:
    wanted = rule.filter
    return (
        rule.id,
        rule.status.value,
        rule.prefix_form.value,
        (wanted.prefix, wanted.tags, wanted.larger_than, wanted.smaller_than),
        rule.expire_days,
        rule.expire_at_ms,
        rule.markers.value,
        rule.noncurrent_days,
        rule.keep_noncurrent,
        rule.abort_days,
    )


@lru_cache(maxsize=1024)
def unpack_rules(packed: bytes) -> Rules | None:
    """Return the configuration of a register, None of an empty one. Raises CorruptRecord."""
    if not packed:
        return None
    try:
        version, smallest, listed = msgpack.unpackb(packed, unicode_errors="surrogateescape")
        if version != FORMAT_VERSION:
            raise CorruptRecord(f"lifecycle rules of version {version}")
        return Rules(tuple(_rule(fields) for fields in listed), smallest)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"lifecycle rules cannot be decoded: {error}") from error


def _rule(fields: list[Any]) -> Rule:
    rule_id, status, form, (prefix, tags, larger, smaller), days, at_ms, markers, *rest = fields
    wanted = Filter(prefix, tuple((key, value) for key, value in tags), larger, smaller)
    return Rule(
        rule_id, wanted, Status(status), PrefixForm(form), days, at_ms, MarkerCleaning(markers), *rest
    )
