"""AWS Signature Version 2, held against the examples that AWS publishes."""

import pytest

from proxy.auth.query import parse_query
from proxy.auth.sigv2 import Claim, check_signature, check_time, read_claim, with_query_headers
from proxy.auth.sigv4 import SKEW_MAX_MS, SignatureRefused
from proxy.http.messages import Headers

# The key of AWS's examples; it opens nothing.
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PRESIGNED = f"AWSAccessKeyId={KEY_ID}&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"

# Method, resource, query, headers, signature: the examples of the S3 user guide.
EXAMPLES = {
    "get an object": (
        ("GET", "/johnsmith/photos/puppy.jpg", ""),
        [("date", "Tue, 27 Mar 2007 19:36:42 +0000")],
        "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
    ),
    "put an object": (
        ("PUT", "/johnsmith/photos/puppy.jpg", ""),
        [("content-type", "image/jpeg"), ("date", "Tue, 27 Mar 2007 21:15:45 +0000")],
        "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
    ),
    "list": (
        ("GET", "/johnsmith/", "prefix=photos&max-keys=50&marker=puppy"),
        [("date", "Tue, 27 Mar 2007 19:42:41 +0000")],
        "htDYFYduRNen8P9ZfE/s9SuKy0U=",
    ),
    "fetch a sub-resource": (
        ("GET", "/johnsmith/", "acl"),
        [("date", "Tue, 27 Mar 2007 19:44:46 +0000")],
        "c2WLPFtWHVgbEmeEG93a4cG37dM=",
    ),
    "delete": (
        ("DELETE", "/johnsmith/photos/puppy.jpg", ""),
        [("date", "Tue, 27 Mar 2007 21:20:26 +0000")],
        "lx3byBScXR6KzyMaifNkardMwNk=",
    ),
    "upload": (
        ("PUT", "/static.johnsmith.net/db-backup.dat.gz", ""),
        [
            ("date", "Tue, 27 Mar 2007 21:06:08 +0000"),
            ("x-amz-acl", "public-read"),
            ("content-type", "application/x-download"),
            ("content-md5", "4gJE4saaMU4BqNR0kLY+lw=="),
            ("x-amz-meta-reviewedby", "joe@johnsmith.net"),
            ("x-amz-meta-reviewedby", "jane@johnsmith.net"),
            ("x-amz-meta-filechecksum", "0x02661779"),
            ("x-amz-meta-checksumalgorithm", "crc32"),
        ],
        "ilyl83RwaSoYIEdixDQcA4OnAnc=",
    ),
    "list all buckets": (
        ("GET", "/", ""),
        [("date", "Wed, 28 Mar 2007 01:29:59 +0000")],
        "qGdzdERIC03wnaRNKh6OqZehG9s=",
    ),
    "keys beyond ASCII": (
        ("GET", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", ""),
        [("date", "Wed, 28 Mar 2007 01:49:49 +0000")],
        "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
    ),
}


def signed(headers: list[tuple[str, str]], signature: str) -> Headers:
    return Headers([*headers, ("authorization", f"AWS {KEY_ID}:{signature}")])


def claim_of(query: str, headers: Headers) -> Claim:
    claim = read_claim(parse_query(query), headers)
    assert claim is not None
    return claim


def check(request: tuple[str, str, str], headers: Headers) -> None:
    method, resource, query = request
    check_signature(
        claim_of(query, headers),
        SECRET,
        method=method,
        resource=resource,
        query=parse_query(query),
        headers=headers,
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_published_examples_hold_and_a_changed_one_does_not(example: str) -> None:
    (method, resource, query), headers, signature = EXAMPLES[example]
    check((method, resource, query), signed(headers, signature))
    for changed in ((method + "X", resource, query), (method, resource + "x", query)):
        with pytest.raises(SignatureRefused) as caught:
            check(changed, signed(headers, signature))
        assert caught.value.code == "SignatureDoesNotMatch"


def test_the_published_presigned_url_holds_until_it_expires() -> None:
    check(("GET", "/johnsmith/photos/puppy.jpg", PRESIGNED), Headers())
    claim = claim_of(PRESIGNED, Headers())
    check_time(claim, 1_175_139_620_000)
    with pytest.raises(SignatureRefused) as caught:
        check_time(claim, 1_175_139_620_001)
    assert caught.value.code == "AccessDenied"


def test_an_amz_date_stands_for_the_date() -> None:
    dates = [("date", "Tue, 27 Mar 2007 21:20:27 +0000"), ("x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000")]
    claim = claim_of("", signed(dates, "R4dJ53KECjStyBA5iNH2SJk3MRM="))
    assert (claim.date, claim.signed_ms) == ("", 1_175_030_426_000)
    for skew_ms in (-SKEW_MAX_MS, SKEW_MAX_MS):
        check_time(claim, claim.signed_ms + skew_ms)
        with pytest.raises(SignatureRefused) as caught:
            check_time(claim, claim.signed_ms + skew_ms + (1 if skew_ms > 0 else -1))
        assert caught.value.code == "RequestTimeTooSkewed"


def test_headers_in_a_presigned_query_count_as_sent() -> None:
    query = parse_query("x-amz-meta-a=1&content-type=text%2Fx&x-id=PutObject&x-amz-acl=private")
    headers = Headers(with_query_headers(query, Headers([("x-amz-acl", "public-read")])))
    assert dict(headers.items()) == {
        "x-amz-acl": "public-read",
        "x-amz-meta-a": "1",
        "content-type": "text/x",
    }


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ([("authorization", "AWS HAHAHA")], "", "InvalidArgument"),
        ([("authorization", "AWS :x")], "", "InvalidArgument"),
        ([("authorization", "AWS a:b")], "", "AccessDenied"),
        ([("authorization", "AWS a:b"), ("date", "Bad Date")], "", "AccessDenied"),
        ([("authorization", "AWS a:b"), ("date", "Tue, 07 Jul 1950 21:53:04 GMT")], "", "AccessDenied"),
        ([("authorization", "AWS a:b"), ("date", "Tue, 07 Jul 99999 21:53:04 GMT")], "", "AccessDenied"),
        (
            [("authorization", "AWS a:b"), ("date", "Tue, 27 Mar 2007 21:20:27 GMT"), ("x-amz-date", "")],
            "",
            "AccessDenied",
        ),
        ([], "AWSAccessKeyId=a", "AccessDenied"),
        ([], "AWSAccessKeyId=a&Signature=b&Expires=tomorrow", "AccessDenied"),
        ([], "AWSAccessKeyId=a&Signature=b&Expires=-1", "AccessDenied"),
    ],
)
def test_what_is_malformed_is_refused_by_name(headers: list[tuple[str, str]], query: str, code: str) -> None:
    with pytest.raises(SignatureRefused) as caught:
        read_claim(parse_query(query), Headers(headers))
    assert caught.value.code == code


def test_other_requests_make_no_claim_of_version_2() -> None:
    assert read_claim(parse_query("list-type=2"), Headers()) is None
    assert read_claim((), Headers([("authorization", "AWS4-HMAC-SHA256 Credential=a")])) is None
