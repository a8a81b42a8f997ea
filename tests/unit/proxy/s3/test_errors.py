"""The error table covers everything that can be raised."""

import inspect
from pathlib import Path

import pytest

from model import errors
from model.errors import ColonnadeError, InvalidRange
from proxy.auth.sigv4 import SignatureRefused
from proxy.s3.errors import CODES, S3Error, to_s3

CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, ColonnadeError)
    and one not in (errors.InvalidRange, errors.ContainerExists, errors.StaleRing)
]


@pytest.mark.parametrize("one", CLASSES)
def test_each_error_of_ours_has_a_code_and_a_status(one: type[ColonnadeError]) -> None:
    shown = to_s3(one("why"))
    assert (shown.status, shown.message) != (0, "")
    assert shown.code in CODES


def test_well_known_errors_keep_their_codes() -> None:
    expected = {
        errors.NoSuchContainer: ("NoSuchBucket", 404),
        errors.NoSuchObject: ("NoSuchKey", 404),
        errors.NotEnoughReplicas: ("ServiceUnavailable", 503),
        errors.PreconditionFailed: ("PreconditionFailed", 412),
        errors.ContainerNotEmpty: ("BucketNotEmpty", 409),
    }
    for one, (code, status) in expected.items():
        shown = to_s3(one("why"))
        assert (shown.code, shown.status) == (code, status)


def test_an_invalid_range_tells_the_size() -> None:
    assert to_s3(InvalidRange(7)).headers == (("Content-Range", "bytes */7"),)


def test_a_refused_signature_keeps_its_details() -> None:
    shown = to_s3(SignatureRefused("SignatureDoesNotMatch", "no", StringToSign="x"))
    assert (shown.status, shown.details) == (403, {"StringToSign": "x"})


def test_every_code_named_in_the_sources_is_in_the_table() -> None:
    sources = Path(inspect.getfile(S3Error)).parent
    texts = [
        path.read_text() for path in (*sources.rglob("*.py"), *(sources.parent / "auth").glob("sigv4.py"))
    ]
    named = {
        part.partition('"')[0]
        for text in texts
        for call in (
            'S3Error("',
            'S3Error(\n            "',
            'SignatureRefused(\n                "',
            'SignatureRefused("',
        )
        for part in text.split(call)[1:]
    }
    assert named
    assert named <= set(CODES)
