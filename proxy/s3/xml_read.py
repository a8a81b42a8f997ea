"""XML bodies of requests, read with everything bounded: size, depth, elements; no DTD, no entities. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from lxml import etree

from proxy.s3.errors import S3Error

if TYPE_CHECKING:
    from lxml.etree import _Element

DEPTH_MAX: Final = 16
MARKUP_MAX: Final = 200_000
"""Angle brackets in a body: two or three for each element."""


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
    if held.count(b"<") > MARKUP_MAX or b"<!DOCTYPE" in held or b"<!ENTITY" in held:
        raise S3Error("MalformedXML")
    parser = etree.XMLParser(
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
