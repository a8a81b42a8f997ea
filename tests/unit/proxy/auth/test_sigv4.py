"""AWS Signature Version 4, held against the examples that AWS publishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.query import canonical_path, canonical_query, decode, encode, parse_query
from proxy.auth.sigv4 import (
    EXPIRES_MAX_S,
    Carrier,
    Claim,
    Payload,
    Seal,
    SignatureRefused,
    check_signature,
    check_time,
    parse_amz_date,
    read_claim,
)
from proxy.http.messages import Headers

# The key of AWS's examples; it opens nothing.
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNED_MS = 1_369_353_600_000
EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Method, path, query, headers beside host and date, signature: the examples of the S3 API reference.
EXAMPLES = {
    "get a range": (
        ("GET", "/test.txt", ""),
        {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY_HASH},
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put an object": (
        ("PUT", "/test%24file.text", ""),
        {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get a sub-resource": (
        ("GET", "/", "lifecycle"),
        {"x-amz-content-sha256": EMPTY_HASH},
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        ("GET", "/", "max-keys=2&prefix=J"),
        {"x-amz-content-sha256": EMPTY_HASH},
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}
PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    "%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
HOST = "examplebucket.s3.amazonaws.com"


def signed_headers(more: dict[str, str], signature: str, *, spaced: str = ", ") -> Headers:
    headers = {"host": HOST, "x-amz-date": "20130524T000000Z", **more}
    fields = (
        f"Credential={KEY_ID}/20130524/us-east-1/s3/aws4_request",
        f"SignedHeaders={';'.join(sorted(headers))}",
        f"Signature={signature}",
    )
    return Headers([*headers.items(), ("authorization", "AWS4-HMAC-SHA256 " + spaced.join(fields))])


def check(headers: Headers, place: tuple[str, str, str], secret: str = SECRET) -> Seal:
    method, path, raw_query = place
    query = parse_query(raw_query)
    claim = read_claim(query, headers)
    assert claim is not None
    return check_signature(claim, secret, method=method, raw_path=path, query=query, headers=headers)


def refusal(headers: Headers, raw_query: str = "") -> SignatureRefused:
    with pytest.raises(SignatureRefused) as caught:
        read_claim(parse_query(raw_query), headers)
    return caught.value


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("spaced", [", ", ","])
def test_the_examples_of_aws_are_accepted(name: str, spaced: str) -> None:
    place, more, signature = EXAMPLES[name]
    assert check(signed_headers(more, signature, spaced=spaced), place).signature == signature


@pytest.mark.parametrize("name", EXAMPLES)
def test_another_secret_a_changed_path_or_a_changed_header_is_refused(name: str) -> None:
    (method, path, query), more, signature = EXAMPLES[name]
    headers = signed_headers(more, signature)
    for secret, place in ((SECRET + "x", (method, path, query)), (SECRET, (method, path + "x", query))):
        with pytest.raises(SignatureRefused) as caught:
            check(headers, place, secret)
        assert caught.value.code == "SignatureDoesNotMatch"
        assert caught.value.details["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
    moved = Headers([(key, "elsewhere" if key == "host" else value) for key, value in headers.raw()])
    with pytest.raises(SignatureRefused):
        check(moved, (method, path, query))


def test_a_presigned_url_of_aws_is_accepted_in_its_time_only() -> None:
    headers = Headers([("host", HOST)])
    query = parse_query(PRESIGNED)
    claim = read_claim(query, headers)
    assert claim is not None
    assert (claim.carrier, claim.payload, claim.expires_s) == (Carrier.QUERY, Payload.UNSIGNED, 86400)
    check_signature(claim, SECRET, method="GET", raw_path="/test.txt", query=query, headers=headers)
    check_time(claim, SIGNED_MS + 86_400_000)
    with pytest.raises(SignatureRefused, match="expired") as caught:
        check_time(claim, SIGNED_MS + 86_400_001)
    assert caught.value.code == "AccessDenied"
    assert caught.value.details["Expires"] == "2013-05-25T00:00:00Z"
    with pytest.raises(SignatureRefused, match="not yet valid"):
        check_time(claim, SIGNED_MS - 16 * 60 * 1000)


def test_the_clock_of_a_client_may_be_wrong_by_a_quarter_of_an_hour() -> None:
    place, more, signature = EXAMPLES["get a range"]
    claim = read_claim((), signed_headers(more, signature))
    assert claim is not None
    assert place
    check_time(claim, SIGNED_MS + 900_000)
    check_time(claim, SIGNED_MS - 900_000)
    for now_ms in (SIGNED_MS + 900_001, SIGNED_MS - 900_001):
        with pytest.raises(SignatureRefused) as caught:
            check_time(claim, now_ms)
        assert caught.value.code == "RequestTimeTooSkewed"


def test_the_order_of_the_fields_is_free() -> None:
    place, more, signature = EXAMPLES["get a range"]
    usual = signed_headers(more, signature)
    fields = usual["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    turned = "AWS4-HMAC-SHA256 " + ", ".join(reversed(fields))
    headers = Headers([(n, turned if n == "authorization" else v) for n, v in usual.raw()])
    assert check(headers, place).signature == signature


def test_what_was_not_signed_is_refused() -> None:
    _, more, signature = EXAMPLES["get a range"]
    headers = signed_headers(more, signature)
    added = Headers([*headers.raw(), ("x-amz-acl", "public-read")])
    with pytest.raises(SignatureRefused, match="not signed") as caught:
        check(added, ("GET", "/test.txt", ""))
    assert caught.value.details == {"HeadersNotSigned": "x-amz-acl"}


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=", "AuthorizationHeaderMalformed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0" * 64,
            "AuthorizationHeaderMalformed",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130524/r/ec2/aws4_request, SignedHeaders=host, Signature="
            + "0" * 64,
            "AuthorizationHeaderMalformed",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130523/r/s3/aws4_request, SignedHeaders=host, Signature="
            + "0" * 64,
            "AuthorizationHeaderMalformed",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/2013-5-2/r/s3/aws4_request, SignedHeaders=host, Signature="
            + "0" * 64,
            "AuthorizationHeaderMalformed",
        ),
    ],
)
def test_a_malformed_header_is_named_as_such(authorization: str, code: str) -> None:
    headers = Headers(
        [
            ("host", HOST),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", EMPTY_HASH),
            ("authorization", authorization),
        ]
    )
    assert refusal(headers).code == code


def test_the_payload_hash_must_be_there_and_well_formed() -> None:
    signature = "0" * 64
    assert refusal(signed_headers({}, signature)).code == "InvalidRequest"
    assert refusal(signed_headers({"x-amz-content-sha256": "zz"}, signature)).code == "InvalidArgument"
    unsigned = read_claim((), signed_headers({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, signature))
    assert unsigned is not None
    assert unsigned.payload is Payload.UNSIGNED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("X-Amz-Expires=86400", f"X-Amz-Expires={EXPIRES_MAX_S + 1}"), "AuthorizationQueryParametersError"),
        (("X-Amz-Expires=86400", "X-Amz-Expires=-1"), "AuthorizationQueryParametersError"),
        (("X-Amz-Expires=86400", "X-Amz-Expires=soon"), "AuthorizationQueryParametersError"),
        (("X-Amz-Expires=86400&", ""), "AuthorizationQueryParametersError"),
        (("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), "AuthorizationQueryParametersError"),
        (("X-Amz-Date=20130524T000000Z", "X-Amz-Date=today"), "AuthorizationQueryParametersError"),
        (("%2Fs3%2F", "%2Fiam%2F"), "AuthorizationQueryParametersError"),
    ],
)
def test_a_malformed_query_is_named_as_such(change: tuple[str, str], code: str) -> None:
    assert change[0] in PRESIGNED
    assert refusal(Headers([("host", HOST)]), PRESIGNED.replace(*change)).code == code


def test_two_ways_of_signing_at_once_are_refused() -> None:
    _, more, signature = EXAMPLES["get a range"]
    assert refusal(signed_headers(more, signature), PRESIGNED).code == "InvalidArgument"


def test_a_request_without_a_signature_is_anonymous() -> None:
    assert read_claim(parse_query("list-type=2"), Headers([("host", HOST)])) is None


def test_dates_that_are_none_are_none() -> None:
    assert parse_amz_date("20130524T000000Z") == SIGNED_MS
    for text in ("", "20131324T000000Z", "20130524 000000Z", "2013052aT000000Z", "20130524T00000aZ"):
        assert parse_amz_date(text) is None


@given(st.text(max_size=80))
def test_encoding_and_decoding_are_inverse(text: str) -> None:
    encoded = encode(text.encode("utf-8", "replace").decode())
    assert decode(encoded) == text.encode("utf-8", "replace").decode()
    assert encoded.isascii()
    assert "/" not in encoded


@given(st.binary(max_size=60))
def test_any_bytes_of_a_path_survive(raw: bytes) -> None:
    path = "/" + "".join(f"%{byte:02x}" for byte in raw)
    assert decode(path).encode("utf-8", "surrogateescape") == b"/" + raw
    assert canonical_path(path) == canonical_path(canonical_path(path))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=6))
def test_a_canonical_query_says_what_was_sent(pairs: list[tuple[str, str]]) -> None:
    pairs = [(n.encode("utf-8", "replace").decode(), v.encode("utf-8", "replace").decode()) for n, v in pairs]
    assert sorted(parse_query(canonical_query(pairs))) == sorted(pairs)


def test_a_plus_is_a_space_and_a_bare_name_has_no_value() -> None:
    assert parse_query("a+b=c+d&acl&&x=%2B") == [("a b", "c d"), ("acl", ""), ("x", "+")]


def test_a_claim_carries_what_it_read() -> None:
    _, more, signature = EXAMPLES["get a range"]
    claim = read_claim((), signed_headers(more, signature))
    assert isinstance(claim, Claim)
    assert claim.scope.access_key_id == KEY_ID
    assert claim.scope.text == "20130524/us-east-1/s3/aws4_request"
