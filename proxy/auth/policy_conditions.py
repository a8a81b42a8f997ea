"""The Condition element of policies: every operator of AWS, compiled and judged. Pure.

Source: AWS IAM user guide, "IAM JSON policy elements: Condition operators" and "Creating a condition
with multiple keys or values".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeVar

from proxy.auth.patterns import Case, InvalidPattern, Lookup, Pattern, Variables, Wildcards

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
_Value = TypeVar("_Value")


class InvalidCondition(ValueError):
    """A condition is not one; the message is what AWS says of it."""


class Qualifier(Enum):
    """How a condition is held against a key of several values."""

    NONE = ""
    ALL = "ForAllValues"
    ANY = "ForAnyValue"


Test = Callable[[str, Lookup], bool]
"""Whether a value of the request fits one value of the policy."""


class Missing(Enum):
    """What a condition says of a key that the request does not have."""

    FAILS = "fails"
    HOLDS = "holds"


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator. `texts` are the policy's values as written."""

    operator: str
    qualifier: Qualifier
    missing: Missing
    negated: bool
    key: str
    texts: tuple[str, ...]
    tests: tuple[Test, ...]
    needs: frozenset[str]

    def holds(self, lookup: Lookup) -> bool:
        """Whether the condition is true of a request."""
        values = lookup(self.key)
        if self.operator == NULL:
            absent = "false" if values else "true"
            return any(text.lower() == absent for text in self.texts)
        if not values:
            return self.missing is Missing.HOLDS
        match self.qualifier:
            case Qualifier.ALL:
                return all(self._fits(value, lookup) for value in values)
            case Qualifier.ANY:
                return any(self._fits(value, lookup) for value in values)
            case Qualifier.NONE:
                found = any(self._matches(value, lookup) for value in values)
                return found is not self.negated

    def _fits(self, value: str, lookup: Lookup) -> bool:
        return self._matches(value, lookup) is not self.negated

    def _matches(self, value: str, lookup: Lookup) -> bool:
        return any(test(value, lookup) for test in self.tests)

    @property
    def narrows(self) -> bool:
        """Whether the condition lets through only requests that have the key, with a value listed."""
        return self.missing is Missing.FAILS and not self.negated and self.operator != NULL


NULL: Final = "Null"
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")


@dataclass(frozen=True, slots=True)
class _Operator:
    """A base operator: its name, whether it negates, and how it compiles a value of a policy."""

    name: str
    negated: bool
    make: Callable[[str, Variables], tuple[Test, frozenset[str]]]


def _by_pattern(wildcards: Wildcards, case: Case) -> Callable[[str, Variables], tuple[Test, frozenset[str]]]:
    def make(text: str, variables: Variables) -> tuple[Test, frozenset[str]]:
        pattern = Pattern(text, wildcards, variables, case)
        return pattern.matches, frozenset(pattern.needs())

    return make


def _by_arn(text: str, variables: Variables) -> tuple[Test, frozenset[str]]:
    """Compare the six parts of an ARN one by one, each with wildcards of its own."""
    patterns = [Pattern(part, Wildcards.MATCH, variables) for part in _arn_parts(text)]

    def test(value: str, lookup: Lookup) -> bool:
        parts = value.split(":", 5)
        return len(parts) == len(patterns) and all(
            pattern.matches(part, lookup) for pattern, part in zip(patterns, parts, strict=True)
        )

    return test, frozenset(key for pattern in patterns for key in pattern.needs())


def _arn_parts(text: str) -> Sequence[str]:
    """Split an ARN at its first five colons that stand in no variable."""
    parts: list[str] = []
    depth = start = 0
    for index, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            depth = max(depth - 1, 0)
        elif character == ":" and not depth and len(parts) < 5:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    if len(parts) != 6 and text != "*":
        raise InvalidCondition("The ARN of a condition is not one")
    return parts if text != "*" else ["*"] * 6


def _by_order(
    read: Callable[[str], _Value | None], fits: Callable[[_Value, _Value], bool]
) -> Callable[[str, Variables], tuple[Test, frozenset[str]]]:
    def make(text: str, _: Variables) -> tuple[Test, frozenset[str]]:
        wanted = read(text)
        if wanted is None:
            raise InvalidCondition(f"The value {text[:100]!r} of a condition is not valid")

        def test(value: str, _lookup: Lookup) -> bool:
            held = read(value)
            return held is not None and fits(held, wanted)

        return test, frozenset()

    return make


def read_number(text: str) -> Decimal | None:
    """Return a number, None for what is none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_date(text: str) -> float | None:
    """Return a date (ISO 8601, or seconds since the epoch) as seconds since the epoch, or None."""
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _read_flag(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def read_network(text: str) -> _Network | None:
    """Return an address or a range of addresses in CIDR notation, or None."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _read_address(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _by_network(text: str, _: Variables) -> tuple[Test, frozenset[str]]:
    network = read_network(text)
    if network is None:
        raise InvalidCondition(f"The value {text[:100]!r} of a condition is not valid")

    def test(value: str, _lookup: Lookup) -> bool:
        address = _read_address(value)
        return address is not None and address.version == network.version and address in network

    return test, frozenset()


_EXACTLY: Final = _by_pattern(Wildcards.LITERAL, Case.EXACT)
_FOLDED: Final = _by_pattern(Wildcards.LITERAL, Case.IGNORED)
_LIKE: Final = _by_pattern(Wildcards.MATCH, Case.EXACT)


def _ordered(
    family: str, read: Callable[[str], _Value | None], less: Callable[[_Value, _Value], bool]
) -> Iterable[_Operator]:
    equal = _by_order(read, lambda held, wanted: held == wanted)
    yield _Operator(f"{family}Equals", False, equal)
    yield _Operator(f"{family}NotEquals", True, equal)
    yield _Operator(f"{family}LessThan", False, _by_order(read, less))
    yield _Operator(
        f"{family}LessThanEquals", False, _by_order(read, lambda held, wanted: not less(wanted, held))
    )
    yield _Operator(f"{family}GreaterThan", False, _by_order(read, lambda held, wanted: less(wanted, held)))
    yield _Operator(
        f"{family}GreaterThanEquals", False, _by_order(read, lambda held, wanted: not less(held, wanted))
    )


_OPERATORS: Final[Mapping[str, _Operator]] = {
    operator.name: operator
    for operator in (
        _Operator("StringEquals", False, _EXACTLY),
        _Operator("StringNotEquals", True, _EXACTLY),
        _Operator("StringEqualsIgnoreCase", False, _FOLDED),
        _Operator("StringNotEqualsIgnoreCase", True, _FOLDED),
        _Operator("StringLike", False, _LIKE),
        _Operator("StringNotLike", True, _LIKE),
        *_ordered("Numeric", read_number, lambda one, two: one < two),
        *_ordered("Date", read_date, lambda one, two: one < two),
        _Operator("Bool", False, _by_order(_read_flag, lambda held, wanted: held is wanted)),
        _Operator("BinaryEquals", False, _EXACTLY),
        _Operator("IpAddress", False, _by_network),
        _Operator("NotIpAddress", True, _by_network),
        _Operator("ArnEquals", False, _by_arn),
        _Operator("ArnNotEquals", True, _by_arn),
        _Operator("ArnLike", False, _by_arn),
        _Operator("ArnNotLike", True, _by_arn),
        _Operator(NULL, False, _by_order(_read_flag, lambda held, wanted: held is wanted)),
    )
}
OPERATORS: Final = tuple(_OPERATORS)

_NAMES: Final = """
    AccessGrantsInstanceArn AccessPointNetworkOrigin authType DataAccessPointAccount DataAccessPointArn
    delimiter if-match if-none-match InventoryAccessibleOptionalFields isReplicationPauseRequest
    JobSuspendedCause LocationConstraint max-keys object-lock-legal-hold object-lock-mode
    object-lock-remaining-retention-days object-lock-retain-until-date ObjectCreationOperation prefix
    RequestObjectTagKeys ResourceAccount signatureAge signatureversion TlsVersion VersionId x-amz-acl
    x-amz-bucket-namespace x-amz-content-sha256 x-amz-copy-source x-amz-grant-full-control x-amz-grant-read
    x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive
    x-amz-object-ownership x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
    x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location
"""
_S3_KEYS: Final = frozenset(_NAMES.lower().split())
_S3_TAG_KEYS: Final = ("existingobjecttag/", "requestobjecttag/", "buckettag/", "accesspointtag/")


def _check_key(name: str) -> str:
    """Return a condition key in lower case. Raises InvalidCondition for one that no request can have."""
    vendor, _, rest = name.lower().partition(":")
    tag = next((prefix for prefix in _S3_TAG_KEYS if rest.startswith(prefix)), "")
    known = {"aws": bool(rest), "s3": rest in _S3_KEYS or (bool(tag) and rest != tag)}
    if not known.get(vendor, False):
        raise InvalidCondition("Policy has an invalid condition key")
    return f"{vendor}:{rest}"


def read_conditions(element: object, variables: Variables) -> tuple[Condition, ...]:
    """Return the conditions of a Condition element. Raises InvalidCondition."""
    if not isinstance(element, dict):
        raise InvalidCondition("Invalid policy syntax.")
    found: list[Condition] = []
    for name, keys in element.items():
        if not isinstance(keys, dict):
            raise InvalidCondition("Invalid policy syntax.")
        for key, values in keys.items():
            found.append(_read_condition(name, key, values, variables))
    return tuple(found)


def _read_condition(name: str, key: str, values: object, variables: Variables) -> Condition:
    prefix, colon, base = name.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    operator = _OPERATORS.get(base)
    qualifiers = {qualifier.value: qualifier for qualifier in Qualifier}
    known = operator is not None and prefix in qualifiers and bool(prefix) == bool(colon)
    if operator is None or not known or (if_exists and base == NULL):
        raise InvalidCondition(f"Invalid Condition type : {name[:100]}")
    qualifier = qualifiers[prefix]
    texts = _texts(values)
    try:
        made = [operator.make(text, variables) for text in texts]
    except InvalidPattern:
        raise InvalidCondition("Policy has an invalid variable in a condition") from None
    tests = tuple(test for test, _ in made)
    missing = _when_missing(qualifier, if_exists=if_exists, negated=operator.negated)
    needs = frozenset(key for _, keys in made for key in keys)
    return Condition(base, qualifier, missing, operator.negated, _check_key(key), texts, tests, needs)


def _when_missing(qualifier: Qualifier, *, if_exists: bool, negated: bool) -> Missing:
    if if_exists or qualifier is Qualifier.ALL:
        return Missing.HOLDS
    if qualifier is Qualifier.ANY:
        return Missing.FAILS
    return Missing.HOLDS if negated else Missing.FAILS


def _texts(values: object) -> tuple[str, ...]:
    """Return the values of a condition as text: numbers and booleans may be written without quotes."""
    listed = values if isinstance(values, list) else [values]
    texts = []
    for value in listed:
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, str | int | float):
            texts.append(str(value))
        else:
            raise InvalidCondition("Invalid policy syntax.")
    if not texts:
        raise InvalidCondition("Invalid policy syntax.")
    return tuple(texts)
