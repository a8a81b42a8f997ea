"""XML bodies of requests, read with depth, tags and attributes bounded, without DTD and entities. Pure.

Who reads a body bounds its size. Bodies are UTF-8, whatever they say of themselves: other encodings could
hide from the counts here what the parser sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from lxml import etree

from proxy.s3.errors import S3Error

if TYPE_CHECKING:
    from lxml.etree import _Element

DEPTH_MAX: Final = 16
MARKUP_MAX: Final = 120_000
"""Tags in a body: 10,000 parts of an upload, the most that any request lists, have 80,000."""
QUOTES_MAX: Final = 60_000
"""Quotation marks in a body, two for each attribute; the ETags of 10,000 parts have 20,000."""
_QUOTES: Final = (b'"', b"'")
_FORBIDDEN: Final = (b"<!DOCTYPE", b"<!ENTITY")


class Node:
    """An element of a request, its namespace set aside."""

    __slots__ = ("_element",)

    def __init__(self, element: _Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        """The local name."""
        return _local(self._element.tag)

    @property
    def text(self) -> str:
        """The text, empty where there is none."""
        return self._element.text or ""

    def children(self, name: str = "") -> Iterator[Node]:
        """Yield the children, or those of a name."""
        for child in self._element:
            if not name or _local(child.tag) == name:
                yield Node(child)

    def child(self, name: str) -> Node | None:
        """Return the first child of a name."""
        return next(self.children(name), None)

    def value(self, name: str, default: str = "") -> str:
        """Return the text of the first child of a name, stripped, or the default where it is absent."""
        found = self.child(name)
        return default if found is None else found.text.strip()

    def fields(self) -> dict[str, str]:
        """Return each child's text by name, as it stands; the last of a name wins."""
        return {_local(child.tag): child.text or "" for child in self._element}

    def attribute(self, name: str) -> str:
        """Return the attribute of a local name, whatever its namespace."""
        for key, value in self._element.attrib.items():
            if _local(key) == name:
                return str(value)
        return ""


def parse(body: bytes | bytearray | memoryview, *roots: str) -> Node:
    """Return the root of a body, which must bear one of the names. Raises S3Error MalformedXML."""
    held = bytes(body)
    if held.count(b"<") > MARKUP_MAX or sum(map(held.count, _QUOTES)) > QUOTES_MAX:
        raise S3Error("MalformedXML")
    if any(mark in held for mark in _FORBIDDEN):
        raise S3Error("MalformedXML")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(held, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise S3Error("MalformedXML") from None
    if root.getroottree().docinfo.internalDTD is not None or not _shallow(root):
        raise S3Error("MalformedXML")
    if _local(root.tag) not in roots:
        raise S3Error("MalformedXML")
    return Node(root)


def _local(tag: object) -> str:
    text = str(tag)
    return text.rpartition("}")[2] if text[:1] == "{" else text


def _shallow(root: _Element) -> bool:
    """Whether no element lies deeper than DEPTH_MAX, and none is an entity reference."""
    level: list[_Element] = [root]
    for _ in range(DEPTH_MAX):
        level = [child for element in level for child in element]
        if any(not isinstance(child.tag, str) for child in level):
            return False
        if not level:
            return True
    return False
