"""The source of a copy: its header, its conditions, its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from model.errors import Absent, NoSuchObject, NoSuchVersion
from model.names import ContainerPath
from model.objects import TAGS
from proxy.auth.query import decode
from proxy.operations.types import BodySource, Container, HeldBody, OpenObject, StreamedBody
from proxy.ranges import Span, parse_range
from proxy.s3 import encryption, tags
from proxy.s3.access import Deed, check_object, enter_to_read
from proxy.s3.acl import Permission
from proxy.s3.actions import GET_OBJECT, GET_OBJECT_TAGGING, PUT_OBJECT, PUT_OBJECT_TAGGING, Action
from proxy.s3.call import Call
from proxy.s3.conditional import check_source
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.facts import more_of_version
from proxy.s3.judging import all_permit
from proxy.s3.names import check_key
from proxy.s3.segments import check_segments
from proxy.s3.versions import absent, check_version_id, show_version


@dataclass(frozen=True, slots=True)
class SourceName:
    """What x-amz-copy-source names; without a version the current one."""

    bucket: str
    key: str
    version: str | None = None


def read_source(header: str) -> SourceName:
    """Return the source that a header names, percent-decoded once. Raises S3Error."""
    text, _, parameter = header.partition("?")
    name, _, version = parameter.partition("=")
    bucket, _, key = decode(text).removeprefix("/").partition("/")
    if not bucket or not key:
        raise invalid_argument(
            "x-amz-copy-source",
            header,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    check_key(key)
    return SourceName(bucket, key, check_version_id(name, decode(version)) if name == "versionId" else None)


async def open_source(call: Call, source: SourceName) -> OpenObject:
    """Return the source of a copy, which the asker may read and whose conditions hold."""
    path, guard = await enter_to_read(call, source.bucket)
    key = encryption.customer_key(call, call.request.headers, encryption.Of.SOURCE)
    try:
        opened = await call.colony.open_object(
            path.object(source.key), version=source.version, customer_key=key
        )
    except (NoSuchObject, NoSuchVersion) as error:
        raise await _absent_source(call, path, guard, error, source.key) from None
    deeds = [_deed(GET_OBJECT, source)]
    await check_object(call, guard, opened.stored, Permission.READ, deeds=deeds)
    await check_segments(call, opened.stored)
    if opened.locked is not None:
        raise opened.locked
    check_source(call.request.headers, opened.stored)
    return opened


async def _absent_source(
    call: Call, path: ContainerPath, guard: Container | None, error: Absent, key: str
) -> S3Error:
    found = await absent(call, path, guard, error, key=key)
    if found.code == "MethodNotAllowed":
        return S3Error(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        )
    # What is absent is the source: the headers and the version would be taken for the target's.
    return S3Error(found.code)


def _deed(action: Action, source: SourceName) -> Deed:
    """Return an action on the source; a version in the query would be the target's."""
    return Deed(action, source.key, source.version is not None, more=more_of_version(source.version))


def show_source_version(opened: OpenObject) -> list[tuple[str, str]]:
    """Return the header that tells which version was copied, where the bucket has versions."""
    return show_version(opened.stored, "x-amz-copy-source-version-id")


async def check_tags_copied(
    call: Call, source: SourceName, opened: OpenObject, target: ContainerPath
) -> None:
    """Let on who may read the tags of the source and set those of the target. Raises S3Error AccessDenied."""
    _, guard = await enter_to_read(call, source.bucket)
    deeds = [_deed(GET_OBJECT_TAGGING, source)]
    await check_object(call, guard, opened.stored, None, deeds=deeds)
    # Judged by the tags that go along: those of a header count for nothing beside them.
    asked = tags.unpack(opened.stored.sides.get(TAGS, b""))
    deeds = [Deed(action, call.key, request_tags=asked) for action in (PUT_OBJECT, PUT_OBJECT_TAGGING)]
    if all_permit(call, await call.colony.container(target), deeds, Permission.WRITE):
        return
    if not all_permit(call, await call.colony.container(target, fresh=True), deeds, Permission.WRITE):
        raise S3Error("AccessDenied")


def read_span(call: Call, opened: OpenObject) -> Span:
    """Return the bytes of the source to copy: all, or x-amz-copy-source-range. Raises S3Error."""
    text = call.request.headers.get("x-amz-copy-source-range")
    size = opened.stored.record.size
    if not text:
        span = Span(0, size)
    else:
        wanted = parse_range(text)
        piece = wanted.pieces[0] if wanted is not None and len(wanted.pieces) == 1 else None
        if piece is None or piece.first is None or piece.last is None:
            raise invalid_argument(
                "x-amz-copy-source-range",
                text,
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and "
                "last are the zero-based offsets of the first and last bytes to copy",
            )
        if piece.last >= size:
            raise S3Error("InvalidRange", f"Range specified is not valid for source object of size: {size}")
        span = Span(piece.first, piece.last - piece.first + 1)
    if span.length > call.settings.put_bytes_max:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source: "
            f"{call.settings.put_bytes_max}",
        )
    return span


def body_of(opened: OpenObject, span: Span) -> BodySource:
    """Return a span of the source as the body of a new object."""
    if opened.data is not None:
        return HeldBody(memoryview(opened.data)[span.offset : span.end])
    if not span.length:
        return HeldBody(b"")
    return StreamedBody(opened.read(span.offset, span.length), span.length)
