"""POST policies: what a browser form may upload, as the form's author signed it. Pure.

A policy is a JSON document: an expiration, and conditions that the fields of the form must keep. Each
field must be named by a condition, but for those that carry or are exempt from the signature.

Source: Amazon S3 API reference, "Creating a POST policy" and "Authenticating requests in browser-based
uploads using POST".
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.auth.sigv4 import SignatureRefused, iso_seconds
from proxy.dates import parse_iso

CONDITIONS_MAX: Final = 500
EXEMPT: Final = frozenset(("file", "policy", "signature", "awsaccesskeyid", "x-amz-signature"))
"""Fields that no condition needs to name."""
IGNORED_PREFIX: Final = "x-ignore-"
_CHECKSUM_PREFIX: Final = "x-amz-checksum-"

_EXPIRATION: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
# A dollar may be escaped, which plain JSON does not know; an even run of backslashes escapes itself.
_ESCAPED_DOLLAR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\\$")
_LENGTH_DIGITS_MAX: Final = 15


class Operator(Enum):
    """How a condition holds a field against its value."""

    EQUAL = "eq"
    STARTS_WITH = "starts-with"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `field` is lower case without the dollar."""

    operator: Operator
    field: str
    value: str

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether the form's field is as the condition wants it; one that is absent begins as nothing."""
        given = fields.get(self.field)
        if given is None:
            return self.operator is Operator.STARTS_WITH and not self.value
        if self.operator is Operator.EQUAL:
            return given == self.value
        if self.field == "content-type" and "," in given:
            return all(one.strip().startswith(self.value) for one in given.split(","))
        return given.startswith(self.value)

    def __str__(self) -> str:
        return json.dumps([self.operator.value, f"${self.field}", self.value])


@dataclass(frozen=True, slots=True)
class LengthRange:
    """How many bytes the file may have, both ends included."""

    bytes_min: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """A policy. `expires_ms` is in milliseconds since the epoch; `lengths` is None where it sets none."""

    expires_ms: int
    conditions: tuple[Condition, ...]
    lengths: LengthRange | None


def parse_policy(encoded: str) -> PostPolicy:
    """Return the policy of a form's field. Raises SignatureRefused InvalidPolicyDocument."""
    document = _read_json(encoded)
    if not isinstance(document, dict):
        raise invalid("Invalid JSON.")
    unknown = document.keys() - {"expiration", "conditions"}
    if unknown:
        raise invalid(f"Unexpected: '{min(unknown)}'")
    expiration, listed = document.get("expiration"), document.get("conditions")
    if expiration is None:
        raise invalid("Policy missing expiration.")
    if not isinstance(listed, list):
        raise invalid("Policy missing conditions.")
    expires_ms = None
    if isinstance(expiration, str) and _EXPIRATION.fullmatch(expiration):
        expires_ms = parse_iso(expiration)
    if expires_ms is None:
        raise invalid(f"Invalid 'expiration' value: '{expiration}'")
    if len(listed) > CONDITIONS_MAX:
        raise invalid(f"A policy has at most {CONDITIONS_MAX} conditions.")
    conditions: list[Condition] = []
    lengths: LengthRange | None = None
    for item in listed:
        read = _read_condition(item)
        if isinstance(read, Condition):
            conditions.append(read)
        else:
            lengths = read if lengths is None else _narrowed(lengths, read)
    return PostPolicy(expires_ms, tuple(conditions), lengths)


def check_policy(policy: PostPolicy, fields: Mapping[str, str], now_ms: int) -> None:
    """Hold a form against its policy. Raises SignatureRefused AccessDenied.

    `fields` are the form's by lower-case name, with the bucket that the request addresses.
    """
    if now_ms > policy.expires_ms:
        raise _violated("Policy expired.", Expiration=iso_seconds(policy.expires_ms))
    for condition in policy.conditions:
        if not condition.holds(fields):
            raise _violated(f"Policy Condition failed: {condition}")
    covered = {condition.field for condition in policy.conditions}
    extra = [name for name in fields if name not in covered and not _exempt(name)]
    if extra:
        raise _violated(f"Extra input fields: {', '.join(sorted(extra))}")


def invalid(why: str) -> SignatureRefused:
    """Return the error of a document that is no policy."""
    return SignatureRefused("InvalidPolicyDocument", f"Invalid Policy: {why}")


def _exempt(name: str) -> bool:
    # A checksum only narrows what the form may upload, so it needs no leave.
    return name in EXEMPT or name.startswith((IGNORED_PREFIX, _CHECKSUM_PREFIX))


def _violated(why: str, **details: str) -> SignatureRefused:
    return SignatureRefused("AccessDenied", f"Invalid according to Policy: {why}", **details)


def _read_json(encoded: str) -> object:
    try:
        text = b64decode("".join(encoded.split()), validate=True).decode()
        found: object = json.loads(
            _ESCAPED_DOLLAR.sub(r"\1$", text), object_pairs_hook=_without_repeats, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        # RecursionError: thousands of opening brackets fit into a field.
        raise invalid("Invalid JSON.") from None
    return found


def _without_repeats(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _read_condition(item: object) -> Condition | LengthRange:
    if isinstance(item, dict):
        if len(item) != 1:
            raise invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
            )
        ((name, value),) = item.items()
        if not isinstance(value, str):
            raise invalid(f"Invalid Simple-Condition: value of '{name}' must be a string.")
        return Condition(Operator.EQUAL, name.lower(), value)
    if not isinstance(item, list) or not item or not isinstance(item[0], str):
        raise invalid("Invalid Condition.")
    operator = item[0].lower()
    if operator == "content-length-range":
        return _read_range(item)
    if operator not in (Operator.EQUAL.value, Operator.STARTS_WITH.value):
        raise invalid(f"Invalid Condition: unknown operation '{item[0]}'.")
    if len(item) != 3:
        raise invalid(f"Invalid Condition: wrong number of arguments to '{item[0]}'.")
    _, name, value = item
    if not isinstance(name, str) or not isinstance(value, str) or name[:1] != "$":
        raise invalid(f"Invalid Condition: wrong arguments to '{item[0]}'.")
    return Condition(Operator(operator), name[1:].lower(), value)


def _read_range(item: Sequence[object]) -> LengthRange:
    if len(item) != 3:
        raise invalid("Invalid content-length-range: wrong number of arguments.")
    low, high = _read_length(item[1]), _read_length(item[2])
    if low > high:
        raise invalid("Invalid content-length-range: the minimum is above the maximum.")
    return LengthRange(low, high)


def _read_length(value: object) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS_MAX:
        return int(text)
    raise invalid("Invalid content-length-range: not a number of bytes.")


def _narrowed(one: LengthRange, other: LengthRange) -> LengthRange:
    return LengthRange(max(one.bytes_min, other.bytes_min), min(one.bytes_max, other.bytes_max))
