"""POST policies: what they are, what they allow, and whose they are."""

import hmac
import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.post_policy import LengthRange, PostPolicy, check_policy, parse_policy
from proxy.auth.post_signature import check_form_signature, read_form_claim
from proxy.auth.sigv4 import SignatureRefused, signing_key

EXPIRES = "2030-01-01T00:00:00Z"
EXPIRES_MS = 1_893_456_000_000
FIELDS = {"bucket": "b", "key": "user/a.txt", "acl": "private", "content-type": "text/plain"}
CONDITIONS: list[Any] = [
    {"bucket": "b"},
    ["starts-with", "$key", "user/"],
    ["eq", "$acl", "private"],
    ["starts-with", "$Content-Type", "text/"],
]


def encoded(document: object) -> str:
    return b64encode(json.dumps(document).encode()).decode()


def policy_of(*conditions: Any, expiration: str = EXPIRES) -> PostPolicy:
    return parse_policy(encoded({"expiration": expiration, "conditions": list(conditions)}))


def why(policy: PostPolicy, fields: dict[str, str], now_ms: int = 0) -> str:
    with pytest.raises(SignatureRefused) as caught:
        check_policy(policy, fields, now_ms)
    assert caught.value.code == "AccessDenied"
    return str(caught.value)


def test_a_form_that_keeps_all_conditions_is_allowed() -> None:
    check_policy(policy_of(*CONDITIONS), FIELDS, EXPIRES_MS)


def test_a_policy_expires() -> None:
    assert "expired" in why(policy_of(*CONDITIONS), FIELDS, EXPIRES_MS + 1)
    late = policy_of(*CONDITIONS, expiration="2030-01-01T00:00:00.500Z")
    assert late.expires_ms == EXPIRES_MS + 500


def test_a_condition_that_does_not_hold_is_named() -> None:
    assert '["eq", "$bucket", "b"]' in why(policy_of(*CONDITIONS), {**FIELDS, "bucket": "c"})
    assert '"$key"' in why(policy_of(*CONDITIONS), {**FIELDS, "key": "other/a"})
    assert '"$acl"' in why(policy_of(*CONDITIONS), {**FIELDS, "acl": "Private"})
    without = {name: value for name, value in FIELDS.items() if name != "acl"}
    assert '"$acl"' in why(policy_of(*CONDITIONS), without)


def test_a_field_that_no_condition_names_is_refused() -> None:
    assert "x-amz-meta-a" in why(policy_of(*CONDITIONS), {**FIELDS, "x-amz-meta-a": "1"})
    assert "bucket" in why(policy_of(*CONDITIONS[1:]), FIELDS)


def test_fields_that_carry_the_signature_or_are_to_be_ignored_need_no_condition() -> None:
    more = {
        "policy": "p",
        "signature": "s",
        "awsaccesskeyid": "k",
        "x-amz-signature": "s",
        "x-ignore-me": "1",
    }
    check_policy(policy_of(*CONDITIONS), {**FIELDS, **more, "x-amz-checksum-crc32": "AAAAAA=="}, 0)
    assert "x-amz-credential" in why(policy_of(*CONDITIONS), {**FIELDS, "x-amz-credential": "c"})


def test_a_field_that_may_be_anything_may_be_absent() -> None:
    anything = ["starts-with", "$x-amz-meta-a", ""]
    check_policy(policy_of(*CONDITIONS, anything), FIELDS, 0)
    check_policy(policy_of(*CONDITIONS, anything), {**FIELDS, "x-amz-meta-a": "1"}, 0)
    assert "x-amz-meta-a" in why(policy_of(*CONDITIONS, ["eq", "$x-amz-meta-a", ""]), FIELDS)


def test_every_type_of_a_list_must_begin_as_the_policy_says() -> None:
    check_policy(policy_of(*CONDITIONS), {**FIELDS, "content-type": "text/a, text/b"}, 0)
    assert "content-type" in why(policy_of(*CONDITIONS), {**FIELDS, "content-type": "text/a,image/b"})


def test_names_and_operators_know_no_case_values_do() -> None:
    policy = policy_of(
        {"BUCKET": "b"},
        ["StArTs-WiTh", "$KEY", "user"],
        ["EQ", "$Acl", "private"],
        ["eq", "$content-type", "text/plain"],
    )
    check_policy(policy, FIELDS, 0)


def test_lengths_narrow_one_another() -> None:
    assert policy_of(["content-length-range", 1, "10"]).lengths == LengthRange(1, 10)
    both = policy_of(["content-length-range", 1, 10], ["content-length-range", 5, 20])
    assert both.lengths == LengthRange(5, 10)
    assert policy_of().lengths is None


def test_a_dollar_may_be_escaped() -> None:
    raw = '{"expiration": "E", "conditions": [["starts-with", "$key", "\\$a"], {"acl": "\\\\$a"}]}'
    raw = raw.replace('"E"', f'"{EXPIRES}"')
    policy = parse_policy(b64encode(raw.encode()).decode())
    assert [condition.value for condition in policy.conditions] == ["$a", "\\$a"]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"expiration": EXPIRES},
        {"conditions": []},
        {"expiration": EXPIRES, "CONDITIONS": []},
        {"EXPIRATION": EXPIRES, "conditions": []},
        {"expiration": EXPIRES, "conditions": [], "more": 1},
        {"expiration": EXPIRES, "conditions": {}},
        {"expiration": "2030-01-01 00:00:00+00:00", "conditions": []},
        {"expiration": "2030-13-01T00:00:00Z", "conditions": []},
        {"expiration": 1, "conditions": []},
        *(
            {"expiration": EXPIRES, "conditions": [condition]}
            for condition in (
                {},
                {"a": "1", "b": "2"},
                {"a": 1},
                [],
                "eq",
                ["eq", "$a"],
                ["eq", "a", "b"],
                ["eq", "$a", 1],
                ["like", "$a", "b"],
                [1, "$a", "b"],
                ["content-length-range", 0],
                ["content-length-range", -1, 0],
                ["content-length-range", 2, 1],
                ["content-length-range", True, 2],
                ["content-length-range", 0.5, 2],
                ["content-length-range", 0, 10**15],
            )
        ),
    ],
)
def test_what_is_no_policy_is_refused(document: object) -> None:
    with pytest.raises(SignatureRefused) as caught:
        parse_policy(encoded(document))
    assert caught.value.code == "InvalidPolicyDocument"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"conditions": [], "conditions": []}',
    ],
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(SignatureRefused) as caught:
        parse_policy(b64encode(raw).decode())
    assert caught.value.code == "InvalidPolicyDocument"
    with pytest.raises(SignatureRefused):
        parse_policy("%%%")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["eq", "starts-with", "$key"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "bucket"]), inner, max_size=2)
    ),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"expiration": JSON | st.just(EXPIRES), "conditions": st.lists(JSON, max_size=4) | JSON}
    )
)
def test_any_document_is_a_policy_or_refused(document: object) -> None:
    with suppress(SignatureRefused):
        check_policy(parse_policy(encoded(document)), FIELDS, 0)


# Signatures.

POLICY = encoded({"expiration": EXPIRES, "conditions": CONDITIONS})


def version_4(secret: str = "secret", **changed: str) -> dict[str, str]:
    key = signing_key(secret, "20300101", "us-east-1", "s3")
    return {
        "policy": POLICY,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "id/20300101/us-east-1/s3/aws4_request",
        "x-amz-date": "20300101T000000Z",
        "x-amz-signature": hmac.digest(key, POLICY.encode(), "sha256").hex(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }


def version_2(secret: str = "secret") -> dict[str, str]:
    signature = b64encode(hmac.digest(secret.encode(), POLICY.encode(), "sha1")).decode()
    return {"policy": POLICY, "awsaccesskeyid": "id", "signature": signature}


@pytest.mark.parametrize("make", [version_4, version_2])
def test_a_form_is_signed_over_its_policy(make: Any) -> None:
    claim = read_form_claim(make())
    assert claim is not None
    assert claim.access_key_id == "id"
    check_form_signature(claim, "secret")
    with pytest.raises(SignatureRefused) as caught:
        check_form_signature(claim, "another")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_form_without_any_of_it_is_anonymous() -> None:
    assert read_form_claim({"key": "k"}) is None


@pytest.mark.parametrize("fields", [version_4(), version_2()])
def test_half_a_signature_is_refused(fields: dict[str, str]) -> None:
    for missing in fields:
        with pytest.raises(SignatureRefused) as caught:
            read_form_claim({name: value for name, value in fields.items() if name != missing})
        assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    "changed",
    [
        {"x_amz_algorithm": "AWS4-ECDSA"},
        {"x_amz_credential": "id"},
        {"x_amz_credential": "id/20300101/us-east-1/iam/aws4_request"},
        {"x_amz_date": "20300102T000000Z"},
    ],
)
def test_a_malformed_claim_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused) as caught:
        read_form_claim(version_4(**changed))
    assert caught.value.code == "InvalidArgument"
