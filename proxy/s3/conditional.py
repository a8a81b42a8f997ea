"""Conditions of S3 requests: which headers make them, and what follows where they do not hold."""

from __future__ import annotations

from dataclasses import replace

from model.errors import NoSuchObject
from proxy.conditions import NONE, Conditions, Verdict, judge_read, judge_write, read_conditions
from proxy.dates import http_date, parse_http_date
from proxy.http.messages import Headers, Response
from proxy.operations.types import Precondition, StoredObject
from proxy.s3.errors import S3Error


def answer_read(headers: Headers, stored: StoredObject) -> Response | None:
    """Return the 304 that the conditions of a GET or HEAD call for, or None to go on.

    Raises S3Error PreconditionFailed.
    """
    conditions = read_conditions(headers)
    if conditions is NONE:
        return None
    etag, modified_s = stored.record.etag, stored.modified_ms // 1000
    verdict = judge_read(conditions, etag, modified_s)
    if verdict is Verdict.FAILED:
        raise _failed("If-Match" if conditions.if_match else "If-Unmodified-Since")
    if verdict is Verdict.NOT_MODIFIED:
        return Response(304, [("ETag", f'"{etag}"'), ("Last-Modified", http_date(modified_s))])
    return None


def check_source(headers: Headers, stored: StoredObject) -> None:
    """Hold a copy's source against the x-amz-copy-source-if- headers. Raises S3Error PreconditionFailed."""
    conditions = read_conditions(headers, "x-amz-copy-source-")
    if conditions is NONE:
        return
    verdict = judge_read(conditions, stored.record.etag, stored.modified_ms // 1000)
    if verdict is not Verdict.PROCEED:
        raise S3Error("PreconditionFailed")


def of_write(headers: Headers) -> Precondition | None:
    """Return the precondition that If-Match or If-None-Match make of a PUT, or None."""
    conditions = read_conditions(headers)
    if conditions is NONE:
        return None
    return _precondition(replace(conditions, if_modified_since=None, if_unmodified_since=None))


def of_delete(headers: Headers) -> Precondition | None:
    """Return the precondition of a DELETE: by ETag, size, or time of modification; or None.

    Raises S3Error InvalidArgument.
    """
    return delete_precondition(
        etag=headers.get("if-match"),
        size=headers.get("x-amz-if-match-size"),
        modified=headers.get("x-amz-if-match-last-modified-time"),
    )


def delete_precondition(*, etag: str, size: str, modified: str) -> Precondition | None:
    """Return the precondition of deleting one key, or None. Raises S3Error InvalidArgument."""
    if not (etag or size or modified):
        return None
    if size and not (size.isascii() and size.isdigit() and len(size) < 20):
        raise S3Error("InvalidArgument", "The size to match is not a number")
    modified_s = _parse_time(modified) if modified else None
    matched = read_conditions(Headers((("if-match", etag),)) if etag else Headers())
    holds = _precondition(
        Conditions(if_match=matched.if_match, if_size=int(size) if size else None, if_modified_at=modified_s)
    )

    def check(stored: StoredObject | None) -> None:
        # What is gone already is as the client wants it, as at AWS; a marker is something else to match.
        if stored is not None:
            holds(stored)

    return check


def _parse_time(text: str) -> int:
    from proxy.dates import parse_iso

    seconds = parse_http_date(text)
    if seconds is not None:
        return seconds
    millis = parse_iso(text)
    if millis is None:
        raise S3Error("InvalidArgument", "The time to match is not a date")
    return millis // 1000


def _precondition(conditions: Conditions) -> Precondition:
    def check(stored: StoredObject | None) -> None:
        if stored is None:
            if conditions.if_match or conditions.if_size is not None or conditions.if_modified_at is not None:
                raise NoSuchObject("the object whose ETag is to match does not exist")
            return
        modified_s = stored.modified_ms // 1000
        verdict = judge_write(conditions, stored.record.etag, modified_s, stored.record.size)
        if verdict is Verdict.FAILED:
            raise _failed("If-None-Match" if conditions.if_none_match else "If-Match")

    return check


def _failed(condition: str) -> S3Error:
    return S3Error("PreconditionFailed", details={"Condition": condition})
