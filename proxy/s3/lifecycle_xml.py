"""Lifecycle configurations between XML and rules: read, held to AWS's limits, and shown. Pure.

Source: Amazon S3 API reference, "PutBucketLifecycleConfiguration".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from model.lifecycle import (
    DAY_MS,
    RULES_MAX,
    Filter,
    MarkerCleaning,
    PrefixForm,
    Rule,
    Rules,
    Status,
)
from proxy.dates import iso_millis, parse_iso
from proxy.s3 import xml_read, xml_write
from proxy.s3.errors import S3Error
from proxy.s3.metadata import CLASSES
from proxy.s3.tags import KEY_LENGTH_MAX, VALUE_LENGTH_MAX
from proxy.s3.xml_read import Node

ID_LENGTH_MAX: Final = 255
PREFIX_BYTES_MAX: Final = 1024
KEEP_MAX: Final = 100
SMALLEST: Final = ("all_storage_classes_128K", "varies_by_storage_class")
"""Values of x-amz-transition-default-minimum-object-size, the usual one first."""

_NUMBER_MAX: Final = (1 << 31) - 1
_SIZE_MAX: Final = 1 << 60
_IN_RULE: Final = frozenset(
    (
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
        "Transition",
        "NoncurrentVersionTransition",
    )
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The conditions of a filter, as they are met in its XML."""

    prefixes: list[str]
    tags: list[tuple[str, str]]
    larger: list[int]
    smaller: list[int]


def read(body: bytes, new_id: Callable[[], str]) -> Rules:
    """Return the configuration of a document; rules without an id get one of `new_id`. Raises S3Error."""
    document = xml_read.parse(body, "LifecycleConfiguration")
    nodes = list(document.children())
    if not 1 <= len(nodes) <= RULES_MAX or any(node.name != "Rule" for node in nodes):
        raise S3Error("MalformedXML")
    rules = [_rule(node, new_id) for node in nodes]
    if len({rule.id for rule in rules}) != len(rules):
        raise S3Error("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
    return Rules(tuple(rules))


def _rule(node: Node, new_id: Callable[[], str]) -> Rule:
    if any(child.name not in _IN_RULE for child in node.children()):
        raise S3Error("MalformedXML")
    rule_id = node.value("ID") or new_id()
    if len(rule_id) > ID_LENGTH_MAX:
        raise S3Error("InvalidArgument", "ID length should not exceed allowed limit of 255")
    try:
        status = Status(node.value("Status"))
    except ValueError:
        raise S3Error("MalformedXML") from None
    form, wanted = _filter(node)
    days, at_ms, markers = _expiration(node.child("Expiration"))
    noncurrent_days, keep = _noncurrent(node.child("NoncurrentVersionExpiration"))
    abort_days = _days(node.child("AbortIncompleteMultipartUpload"), "DaysAfterInitiation")
    _refuse_transitions(node)
    if not (days or at_ms is not None or markers is MarkerCleaning.YES or noncurrent_days or abort_days):
        raise S3Error("InvalidRequest", "At least one action needs to be specified in a rule")
    if wanted.by_object and (abort_days or markers is MarkerCleaning.YES):
        action = "AbortIncompleteMultipartUpload" if abort_days else "ExpiredObjectDeleteMarker"
        raise S3Error("InvalidRequest", f"{action} cannot be specified with Tags or object sizes.")
    return Rule(rule_id, wanted, status, form, days, at_ms, markers, noncurrent_days, keep, abort_days)


# Filters.


def _filter(rule: Node) -> tuple[PrefixForm, Filter]:
    node, prefix = rule.child("Filter"), rule.child("Prefix")
    if (node is None) == (prefix is None):
        raise S3Error("MalformedXML")
    if prefix is not None:
        return PrefixForm.RULE, Filter(_prefix(prefix.text))
    assert node is not None
    wanted = _Wanted([], [], [], [])
    _collect(node, wanted, within="Filter")
    if len({key for key, _ in wanted.tags}) != len(wanted.tags):
        raise S3Error("InvalidRequest", "Duplicate Tag Keys are not allowed.")
    found = Filter(
        _longest(wanted.prefixes),
        tuple(wanted.tags),
        max(wanted.larger, default=None),
        min(wanted.smaller, default=None),
    )
    larger, smaller = found.larger_than, found.smaller_than
    if larger is not None and smaller is not None and larger + 1 >= smaller:
        raise S3Error(
            "InvalidRequest",
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        )
    return PrefixForm.FILTER, found


def _collect(node: Node, wanted: _Wanted, *, within: str) -> None:
    """Add the conditions under a node: AWS wants several under And; those beside it must hold as well."""
    for child in node.children():
        match child.name:
            case "Prefix":
                wanted.prefixes.append(_prefix(child.text))
            case "Tag":
                wanted.tags.append(_tag(child))
            case "ObjectSizeGreaterThan":
                wanted.larger.append(_number(child.text, least=0, most=_SIZE_MAX))
            case "ObjectSizeLessThan":
                wanted.smaller.append(_number(child.text, least=1, most=_SIZE_MAX))
            case "And" if within == "Filter":
                _collect(child, wanted, within="And")
            case _:
                raise S3Error("MalformedXML")


def _longest(prefixes: Sequence[str]) -> str:
    """Return the prefix that stands for all: each of the others must begin it."""
    longest = max(prefixes, key=len, default="")
    if not all(longest.startswith(prefix) for prefix in prefixes):
        raise S3Error("MalformedXML")
    return longest


def _prefix(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > PREFIX_BYTES_MAX:
        raise S3Error("InvalidRequest", f"The maximum size of a prefix is {PREFIX_BYTES_MAX}.")
    return text


def _tag(node: Node) -> tuple[str, str]:
    fields = node.fields()
    if "Key" not in fields or "Value" not in fields:
        raise S3Error("MalformedXML")
    key, value = fields["Key"], fields["Value"]
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise S3Error("InvalidTag", "The TagKey you have provided is invalid", details={"TagKey": key})
    if len(value) > VALUE_LENGTH_MAX:
        raise S3Error("InvalidTag", "The TagValue you have provided is invalid", details={"TagKey": key})
    return key, value


# Actions.


def _expiration(node: Node | None) -> tuple[int, int | None, MarkerCleaning]:
    if node is None:
        return 0, None, MarkerCleaning.NO
    fields = node.fields()
    if len(fields) != 1 or not fields.keys() <= {"Days", "Date", "ExpiredObjectDeleteMarker"}:
        raise S3Error("MalformedXML")
    if "Days" in fields:
        return _days(node, "Days", action="Expiration"), None, MarkerCleaning.NO
    if "Date" in fields:
        return 0, _date(fields["Date"]), MarkerCleaning.NO
    said = fields["ExpiredObjectDeleteMarker"].strip().lower()
    if said not in ("true", "false"):
        raise S3Error("MalformedXML")
    return 0, None, MarkerCleaning.YES if said == "true" else MarkerCleaning.NO


def _noncurrent(node: Node | None) -> tuple[int, int]:
    if node is None:
        return 0, 0
    days = _days(node, "NoncurrentDays", action="NoncurrentVersionExpiration")
    newer = node.child("NewerNoncurrentVersions")
    if newer is None:
        return days, 0
    keep = _number(newer.text, least=-_NUMBER_MAX, most=_NUMBER_MAX)
    if not 1 <= keep <= KEEP_MAX:
        raise S3Error(
            "InvalidArgument",
            f"'NewerNoncurrentVersions' must be an integer between 1 and {KEEP_MAX}, inclusive",
        )
    return days, keep


def _days(node: Node | None, name: str, *, action: str = "AbortIncompleteMultipartUpload") -> int:
    if node is None:
        return 0
    found = node.child(name)
    if found is None:
        raise S3Error("MalformedXML")
    days = _number(found.text, least=-_NUMBER_MAX, most=_NUMBER_MAX)
    if days < 1:
        raise S3Error("InvalidArgument", f"'{name}' for {action} action must be a positive integer")
    return days


def _number(text: str, *, least: int, most: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) <= 20):
        raise S3Error("MalformedXML")
    number = int(digits)
    if not least <= number <= most:
        raise S3Error("MalformedXML")
    return number


def _date(text: str) -> int:
    moment_ms = parse_iso(text)
    if moment_ms is None:
        raise S3Error("MalformedXML")
    if moment_ms % DAY_MS:
        raise S3Error("InvalidArgument", "'Date' must be at midnight GMT")
    return moment_ms


def _refuse_transitions(rule: Node) -> None:
    """Refuse to move objects between classes of storage: there is one kind of storage so far."""
    for name in ("Transition", "NoncurrentVersionTransition"):
        for node in rule.children(name):
            date = node.child("Date")
            if date is not None:
                _date(date.text)
            storage_class = node.value("StorageClass")
            if storage_class not in CLASSES:
                raise S3Error("InvalidStorageClass", details={"StorageClassRequested": storage_class})
            raise S3Error("NotImplemented", f"{name} to {storage_class} is not implemented")


# Showing.


def show(rules: Rules) -> bytes:
    """Return the document of a configuration."""
    return xml_write.root("LifecycleConfiguration", "".join([_show_rule(rule) for rule in rules.rules]))


def _show_rule(rule: Rule) -> str:
    shown = xml_write.tag("ID", rule.id)
    if rule.prefix_form is PrefixForm.RULE:
        shown += xml_write.tag("Prefix", rule.filter.prefix)
    else:
        shown += f"<Filter>{_show_filter(rule.filter)}</Filter>"
    shown += xml_write.tag("Status", rule.status.value)
    if rule.expire_days:
        shown += f"<Expiration><Days>{rule.expire_days}</Days></Expiration>"
    if rule.expire_at_ms is not None:
        shown += f"<Expiration><Date>{iso_millis(rule.expire_at_ms)}</Date></Expiration>"
    if rule.markers is MarkerCleaning.YES:
        shown += "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
    if rule.noncurrent_days:
        keep = xml_write.tag("NewerNoncurrentVersions", rule.keep_noncurrent) if rule.keep_noncurrent else ""
        days = xml_write.tag("NoncurrentDays", rule.noncurrent_days)
        shown += f"<NoncurrentVersionExpiration>{days}{keep}</NoncurrentVersionExpiration>"
    if rule.abort_days:
        days = xml_write.tag("DaysAfterInitiation", rule.abort_days)
        shown += f"<AbortIncompleteMultipartUpload>{days}</AbortIncompleteMultipartUpload>"
    return f"<Rule>{shown}</Rule>"


def _show_filter(wanted: Filter) -> str:
    shown = [xml_write.tag("Prefix", wanted.prefix)] if wanted.prefix or not wanted.by_object else []
    shown += [
        f"<Tag>{xml_write.tag('Key', key)}{xml_write.tag('Value', value)}</Tag>" for key, value in wanted.tags
    ]
    if wanted.larger_than is not None:
        shown.append(xml_write.tag("ObjectSizeGreaterThan", wanted.larger_than))
    if wanted.smaller_than is not None:
        shown.append(xml_write.tag("ObjectSizeLessThan", wanted.smaller_than))
    return shown[0] if len(shown) == 1 else f"<And>{''.join(shown)}</And>"
