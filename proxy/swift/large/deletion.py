"""DELETE of a static large object together with its segments."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from model.errors import Absent, ColonnadeError
from model.names import ObjectPath
from model.objects import Manifest
from proxy.auth.acl import Access
from proxy.http.messages import Response
from proxy.swift.access import authorize
from proxy.swift.call import Call
from proxy.swift.errors import Refused, status_line, status_of
from proxy.swift.large.manifest import SEGMENTS
from proxy.swift.large.report import Problem, report_format, write_report
from proxy.swift.policy import DELETE_OBJECT

_DELETES_AT_ONCE: Final = 16


@dataclass(slots=True)
class _Tally:
    deleted: int = 0
    not_found: int = 0
    problems: list[Problem] = field(default_factory=list)


async def delete_with_segments(call: Call) -> Response:
    """Delete segments first and the manifests after them, and report how many went."""
    tally = _Tally()
    doomed: list[ObjectPath] = []
    try:
        await _collect(call, call.route.object_path, doomed, depth=1)
    except Absent:
        tally.not_found += 1
    except ColonnadeError as error:
        tally.problems.append((_shown(call.route.object_path), status_line(status_of(error))))
        doomed.clear()
    last = doomed.pop() if doomed else None
    for start in range(0, len(doomed), _DELETES_AT_ONCE):
        await asyncio.gather(
            *(_delete(call, path, tally) for path in doomed[start : start + _DELETES_AT_ONCE])
        )
    # The manifest goes last: while a segment is left, it says which.
    if last is not None and not tally.problems:
        await _delete(call, last, tally)
    return _report(call, tally)


async def _collect(call: Call, path: ObjectPath, doomed: list[ObjectPath], *, depth: int) -> None:
    """Add the segments of a manifest, those of its inner manifests, and then itself."""
    if depth > call.limits.manifest_depth_max:
        raise Refused(400, "Too many manifests deep")
    record = (await call.colony.head_object(path)).record
    if record.manifest is not Manifest.STATIC:
        raise Refused(400, "Not an SLO manifest")
    for part, (_, _, is_manifest) in zip(record.parts, record.extra.get(SEGMENTS, ()), strict=False):
        if part.inline:
            continue
        segment = ObjectPath(part.account, part.container, part.name)
        if is_manifest:
            try:
                await _collect(call, segment, doomed, depth=depth + 1)
                continue
            except Absent:
                pass
        if segment not in doomed:
            doomed.append(segment)
    doomed.append(path)


async def _delete(call: Call, path: ObjectPath, tally: _Tally) -> None:
    try:
        await authorize(call, path, Access.WRITE, action=DELETE_OBJECT)
        deleted = await call.colony.delete_object(path)
        if deleted.stored is None and not deleted.is_marker:
            tally.not_found += 1
        else:
            tally.deleted += 1
    except ColonnadeError as error:
        tally.problems.append((_shown(path), status_line(status_of(error))))


def _report(call: Call, tally: _Tally) -> Response:
    form = report_format(call.headers.get("accept"))
    status = status_line(400 if tally.problems else 200)
    facts: dict[str, str | int] = {
        "Number Deleted": tally.deleted,
        "Number Not Found": tally.not_found,
        "Response Body": "",
        "Response Status": status,
    }
    body = write_report(form, facts, tally.problems, root="delete")
    return Response(200, [("Content-Type", form.content_type)], body)


def _shown(path: ObjectPath) -> str:
    return quote(f"/{path.container}/{path.name}", errors="surrogateescape")
