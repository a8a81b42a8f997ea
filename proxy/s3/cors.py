"""The CORS configuration of a bucket: read from XML, checked, stored in a register, shown. Pure.

Source: Amazon S3 API reference, "PutBucketCors".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgpack

from model.containers import SETTING
from model.errors import CorruptRecord
from proxy.cors import ANY, Rule
from proxy.s3 import xml_read, xml_write
from proxy.s3.errors import S3Error

REGISTER: Final = SETTING + "cors"
FORMAT_VERSION: Final = 1
RULES_MAX: Final = 100
ID_LENGTH_MAX: Final = 255
BODY_BYTES_MAX: Final = 64 * 1024
METHODS: Final = ("GET", "PUT", "HEAD", "POST", "DELETE")
_MAX_AGE_DIGITS_MAX: Final = 10

_ELEMENTS: Final = frozenset(
    ("ID", "AllowedOrigin", "AllowedMethod", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds")
)

Rules = tuple[Rule, ...]


def from_xml(body: bytes | bytearray | memoryview) -> Rules:
    """Return the rules of a CORSConfiguration. Raises S3Error MalformedXML or InvalidRequest."""
    document = xml_read.parse(body, "CORSConfiguration")
    nodes = list(document.children())
    if not nodes or any(node.name != "CORSRule" for node in nodes):
        raise S3Error("MalformedXML")
    if len(nodes) > RULES_MAX:
        raise S3Error(
            "InvalidRequest",
            f"The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules.",
        )
    return tuple(_rule(node) for node in nodes)


def to_xml(rules: Rules) -> bytes:
    """Return the CORSConfiguration of rules."""
    return xml_write.root("CORSConfiguration", "".join(map(_rule_xml, rules)))


def pack(rules: Rules) -> bytes:
    """Return the register of rules; no rules are an empty, hence removed, register."""
    if not rules:
        return b""
    fields = [(r.id, r.origins, r.methods, r.headers, r.exposed, r.max_age_s) for r in rules]
    packed: bytes = msgpack.packb((FORMAT_VERSION, fields), unicode_errors="surrogateescape")
    return packed


@lru_cache(maxsize=256)
def unpack(packed: bytes) -> Rules:
    """Return the rules of a register, none of an empty one. Raises CorruptRecord."""
    if not packed:
        return ()
    try:
        version, fields = msgpack.unpackb(packed, unicode_errors="surrogateescape", use_list=False)
        if version != FORMAT_VERSION:
            raise CorruptRecord(f"CORS rules of version {version}")
        return tuple(
            Rule(origins, methods, headers, exposed, max_age_s, rule_id)
            for rule_id, origins, methods, headers, exposed, max_age_s in fields
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecord(f"CORS rules cannot be decoded: {error}") from error


def _rule(node: xml_read.Node) -> Rule:
    given: dict[str, list[str]] = {name: [] for name in _ELEMENTS}
    for child in node.children():
        if child.name not in _ELEMENTS:
            raise S3Error("MalformedXML")
        given[child.name].append(child.text.strip())
    if not given["AllowedOrigin"] or not given["AllowedMethod"]:
        raise S3Error("MalformedXML")
    if len(given["ID"]) > 1 or len(given["MaxAgeSeconds"]) > 1:
        raise S3Error("MalformedXML")
    for method in given["AllowedMethod"]:
        if method not in METHODS:
            raise S3Error(
                "InvalidRequest",
                f"Found unsupported HTTP method in CORS config. Unsupported method is {method}",
            )
    _check_wildcards(given)
    rule_id = "".join(given["ID"])
    if len(rule_id) > ID_LENGTH_MAX:
        raise S3Error("InvalidArgument", f"The ID of a CORS rule has at most {ID_LENGTH_MAX} characters")
    return Rule(
        tuple(given["AllowedOrigin"]),
        tuple(given["AllowedMethod"]),
        tuple(name.lower() for name in given["AllowedHeader"]),
        tuple(given["ExposeHeader"]),
        _max_age_s("".join(given["MaxAgeSeconds"])),
        rule_id,
    )


def _check_wildcards(given: dict[str, list[str]]) -> None:
    for element in ("AllowedOrigin", "AllowedHeader"):
        for text in given[element]:
            if text.count(ANY) > 1:
                raise S3Error("InvalidRequest", f'{element} "{text}" can not have more than one wildcard.')
    for text in given["ExposeHeader"]:
        if ANY in text:
            raise S3Error(
                "InvalidRequest",
                f'ExposeHeader "{text}" contains wildcard. '
                "We currently do not support wildcard for ExposeHeader.",
            )
    for element in ("AllowedOrigin", "AllowedHeader", "ExposeHeader"):
        # They become header values: a line break in one would end its line.
        if any(not text.isprintable() for text in given[element]):
            raise S3Error("MalformedXML")


def _max_age_s(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_AGE_DIGITS_MAX):
        raise S3Error("MalformedXML")
    return int(text)


def _rule_xml(rule: Rule) -> str:
    inner = xml_write.tag("ID", rule.id) if rule.id else ""
    inner += "".join([xml_write.tag("AllowedHeader", name) for name in rule.headers])
    inner += "".join([xml_write.tag("AllowedMethod", name) for name in rule.methods])
    inner += "".join([xml_write.tag("AllowedOrigin", name) for name in rule.origins])
    inner += "".join([xml_write.tag("ExposeHeader", name) for name in rule.exposed])
    if rule.max_age_s is not None:
        inner += f"<MaxAgeSeconds>{rule.max_age_s}</MaxAgeSeconds>"
    return f"<CORSRule>{inner}</CORSRule>"
