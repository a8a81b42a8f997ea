"""Reports of what failed among many objects, as text, JSON or XML. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from proxy.swift.errors import Refused
from proxy.swift.formats import Format, choose_format

Problem = tuple[str, str]
"""A path and what is wrong with it."""


def report_format(accept: str) -> Format:
    """Return the form of a report that an Accept header asks for; plain where it cannot be told."""
    try:
        return choose_format(None, accept)
    except Refused:
        return Format.PLAIN


def write_report(
    form: Format, facts: Mapping[str, str | int], problems: Sequence[Problem], *, root: str
) -> bytes:
    """Return a report of facts and problems; `root` names the element in XML."""
    if form is Format.JSON:
        return json.dumps({**facts, "Errors": [list(problem) for problem in problems]}).encode()
    if form in (Format.XML, Format.TEXT_XML):
        lines = [f"<{root}>"]
        for name, fact in sorted(facts.items()):
            tag = name.replace(" ", "_").lower()
            lines.append(f"<{tag}>{escape(str(fact))}</{tag}>")
        lines.append("<errors>")
        for path, what in problems:
            lines.append(f"<object><name>{escape(path)}</name><status>{escape(what)}</status></object>")
        lines += ["</errors>", f"</{root}>"]
        return ("\n".join(lines) + "\n").encode()
    text = [f"{name}: {fact}" for name, fact in sorted(facts.items())]
    text += ["Errors:", *(f"{path}, {what}" for path, what in problems)]
    return ("\n".join(text) + "\n").encode()
