"""Bucket policies: read within bounds, validated as AWS does and in its words, evaluated. Pure.

Source: AWS IAM user guide, "Policy evaluation logic" and "Grammar of the IAM JSON policy language"; Amazon
S3 user guide, "The meaning of 'public'".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from model.errors import CorruptRecord
from proxy.auth.patterns import Case, InvalidPattern, Lookup, Pattern, Variables, Wildcards
from proxy.auth.policy_actions import is_action
from proxy.auth.policy_conditions import Condition, InvalidCondition, read_conditions, read_network
from proxy.auth.principals import InvalidPrincipal, Principals, read_principals

POLICY_BYTES_MAX: Final = 20 * 1024
DEPTH_MAX: Final = 16
BUCKET_ARN: Final = "arn:aws:s3:::"
_OLD_VERSION: Final = "2008-10-17"
_VERSIONS: Final = (_OLD_VERSION, "2012-10-17")


class MalformedPolicy(ValueError):
    """A text is not a policy for a bucket; the message is what AWS says of it."""


class Effect(Enum):
    """What a statement does."""

    ALLOW = "Allow"
    DENY = "Deny"


class Verdict(Enum):
    """What a policy says of a request: an explicit deny, an allow, or nothing."""

    DENY = "deny"
    ALLOW = "allow"
    SILENT = "silent"


class Choice(Enum):
    """Whether a list names what a statement is about, or what it is not about."""

    THESE = "these"
    ALL_BUT = "all but these"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for. `account` and `user_id` are None for an anonymous request.

    A `resource` of None is any at all: whatever is denied of some is denied then.
    """

    account: str | None
    user_id: str | None
    action: str
    resource: str | None
    lookup: Lookup


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    effect: Effect
    principals: Principals
    principal_choice: Choice
    actions: tuple[Pattern, ...]
    action_choice: Choice
    resources: tuple[Pattern, ...]
    resource_choice: Choice
    conditions: tuple[Condition, ...]
    needs: frozenset[str]
    """Keys of variables without default: an Allow is silent where a request lacks one."""

    def applies(self, asked: Asked) -> bool:
        """Whether the statement speaks of a request."""
        named = self.principals.include(asked.account, asked.user_id)
        if named is (self.principal_choice is Choice.ALL_BUT):
            return False
        lookup = asked.lookup
        if not _chosen(self.actions, self.action_choice, asked.action, lookup):
            return False
        resource = asked.resource
        if resource is not None and not _chosen(self.resources, self.resource_choice, resource, lookup):
            return False
        if self.effect is Effect.ALLOW and not all(map(lookup, self.needs)):
            return False
        return all(condition.holds(lookup) for condition in self.conditions)

    @property
    def is_public(self) -> bool:
        """Whether the statement lets in a public that its writer cannot have counted."""
        if self.effect is Effect.DENY or not self.principals.everyone:
            return False
        return not any(_is_narrow(condition) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, compiled."""

    statements: tuple[Statement, ...]

    def judge(self, asked: Asked) -> Verdict:
        """Return what the policy says of a request: one deny outweighs every allow."""
        allowed = False
        for statement in self.statements:
            if (statement.effect is Effect.DENY or not allowed) and statement.applies(asked):
                if statement.effect is Effect.DENY:
                    return Verdict.DENY
                allowed = True
        return Verdict.ALLOW if allowed else Verdict.SILENT

    @property
    def is_public(self) -> bool:
        """Whether any statement lets in the public."""
        return any(statement.is_public for statement in self.statements)


def _chosen(patterns: Sequence[Pattern], choice: Choice, text: str, lookup: Lookup) -> bool:
    found = any(pattern.matches(text, lookup) for pattern in patterns)
    return found is (choice is Choice.THESE)


# What counts as public.

_NARROW_KEYS: Final = frozenset(
    (
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "aws:username",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)
_NARROW_BITS: Final = {4: 8, 6: 32}
"""A range of addresses wider than this is public."""


def _is_narrow(condition: Condition) -> bool:
    if not condition.narrows:
        return False
    if condition.key == "aws:sourceip":
        networks = [read_network(text) for text in condition.texts]
        return all(
            network is not None
            and (network.is_private or network.prefixlen >= _NARROW_BITS[network.version])
            and network.prefixlen
            for network in networks
        )
    fixed = not any(mark in text for text in condition.texts for mark in ("*", "?", "${"))
    return condition.key in _NARROW_KEYS and fixed


# Reading.


def parse_policy(text: bytes, bucket: str) -> Policy:
    """Return the policy of a text that is meant for a bucket. Raises MalformedPolicy."""
    document = _load(text)
    for name in document:
        if name not in ("Version", "Id", "Statement"):
            raise MalformedPolicy(f"Unknown field {name[:100]}")
    version = document.get("Version", _OLD_VERSION)
    if version not in _VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise MalformedPolicy("Invalid policy syntax.")
    if "Statement" not in document:
        raise MalformedPolicy("Missing required field Statement")
    statements = document["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    if not listed or not all(isinstance(one, dict) for one in listed):
        raise MalformedPolicy("Invalid policy syntax.")
    ids = [one["Sid"] for one in listed if "Sid" in one]
    if not all(isinstance(sid, str) for sid in ids):
        raise MalformedPolicy("Invalid policy syntax.")
    if len(set(ids)) != len(ids):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    variables = Variables.LITERAL if version == _OLD_VERSION else Variables.REPLACED
    return Policy(tuple(_read_statement(one, bucket, variables) for one in listed))


@lru_cache(maxsize=128)
def stored_policy(text: bytes, bucket: str) -> Policy:
    """Return the policy of a register, as it was accepted once. Raises CorruptRecord."""
    try:
        return parse_policy(text, bucket)
    except MalformedPolicy as error:
        raise CorruptRecord(f"a stored policy cannot be read: {error}") from error


def _load(text: bytes) -> dict[str, Any]:
    if len(text) > POLICY_BYTES_MAX:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    if text[:1] != b"{":
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    try:
        decoded = text.decode()
        if _is_deep(decoded):
            raise MalformedPolicy("Invalid policy syntax.")
        document = json.loads(decoded, object_pairs_hook=_once, parse_constant=_no_constant)
    except MalformedPolicy:
        raise
    except ValueError:
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'") from None
    if not isinstance(document, dict):
        raise MalformedPolicy("Invalid policy syntax.")
    return document


def _is_deep(text: str) -> bool:
    """Whether brackets nest deeper than DEPTH_MAX; those inside of strings do not count."""
    depth, quoted, escaped = 0, False, False
    for character in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object each of whose names stands once: of two, no reader could tell which counts."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise MalformedPolicy("Invalid policy syntax.")
    return document


def _no_constant(name: str) -> None:
    raise MalformedPolicy(f"Invalid policy syntax: {name}")


_FIELDS: Final = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
)


def _read_statement(element: Mapping[str, Any], bucket: str, variables: Variables) -> Statement:
    for name in element:
        if name not in _FIELDS and name != "Condition":
            raise MalformedPolicy(f"Unknown field {name[:100]}")
    if "Effect" not in element:
        raise MalformedPolicy("Missing required field Effect")
    if element["Effect"] not in ("Allow", "Deny"):
        raise MalformedPolicy(f"Invalid effect: {str(element['Effect'])[:100]}")
    effect = Effect(element["Effect"])
    who, who_choice = _one_of(element, "Principal")
    if effect is Effect.ALLOW and who_choice is Choice.ALL_BUT:
        raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
    what, what_choice = _one_of(element, "Action")
    where, where_choice = _one_of(element, "Resource")
    try:
        principals = read_principals(who)
        conditions = read_conditions(element.get("Condition", {}), variables)
    except (InvalidPrincipal, InvalidCondition) as error:
        raise MalformedPolicy(str(error)) from error
    actions = tuple(_action(text) for text in _texts(what))
    resources = tuple(_resource(text, bucket, variables) for text in _texts(where))
    needs = {key for pattern in resources for key in pattern.needs()}
    needs |= {key for condition in conditions for key in condition.needs}
    return Statement(
        effect,
        principals,
        who_choice,
        actions,
        what_choice,
        resources,
        where_choice,
        conditions,
        frozenset(needs),
    )


def _one_of(element: Mapping[str, Any], name: str) -> tuple[Any, Choice]:
    """Return an element or its negation, of which a statement has exactly one."""
    if name in element and f"Not{name}" in element:
        raise MalformedPolicy("Invalid policy syntax.")
    if name in element:
        return element[name], Choice.THESE
    if f"Not{name}" in element:
        return element[f"Not{name}"], Choice.ALL_BUT
    raise MalformedPolicy(f"Missing required field {name}")


def _texts(element: Any) -> Iterator[str]:
    listed = element if isinstance(element, list) else [element]
    if not listed:
        raise MalformedPolicy("Invalid policy syntax.")
    for text in listed:
        if not isinstance(text, str):
            raise MalformedPolicy("Invalid policy syntax.")
        yield text


def _action(text: str) -> Pattern:
    pattern = Pattern(text, case=Case.IGNORED)
    if not is_action(pattern):
        raise MalformedPolicy("Policy has invalid action")
    return pattern


def _resource(text: str, bucket: str, variables: Variables) -> Pattern:
    """Return the pattern of a resource, which must be able to lie in the bucket."""
    if text == "*":
        return Pattern(text)
    partition, _, rest = text.removeprefix("arn:").partition(":")
    named = rest.removeprefix("s3:::")
    if not text.startswith("arn:aws") or named == rest or partition not in _PARTITIONS:
        raise MalformedPolicy("Policy has invalid resource")
    try:
        here = Pattern(named.partition("/")[0], variables=variables)
        pattern = Pattern(BUCKET_ARN + named, Wildcards.MATCH, variables)
    except InvalidPattern:
        raise MalformedPolicy("Policy has invalid resource") from None
    if not any(here.needs()) and not here.matches(bucket, _nothing):
        raise MalformedPolicy("Policy has invalid resource")
    return pattern


_PARTITIONS: Final = ("aws", "aws-cn", "aws-us-gov")


def _nothing(_key: str) -> None:
    return None
