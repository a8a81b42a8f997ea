"""Bucket policies: what is refused as one, and what each judges of a request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptRecord
from proxy.auth.policy import (
    POLICY_BYTES_MAX,
    Asked,
    MalformedPolicy,
    Policy,
    Verdict,
    parse_policy,
    stored_policy,
)

BUCKET = "arn:aws:s3:::bkt"
ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    return parse_policy(json.dumps({"Version": version, "Statement": list(statements)}).encode(), "bkt")


def allow(**more: Any) -> dict[str, Any]:
    return _stated("Allow", more)


def deny(**more: Any) -> dict[str, Any]:
    return _stated("Deny", more)


def _stated(effect: str, more: dict[str, Any]) -> dict[str, Any]:
    statement = {**ALLOW, "Effect": effect, **more}
    for name in ("Principal", "Action", "Resource"):
        if f"Not{name}" in more:
            del statement[name]
    return statement


def judge(
    held: Policy,
    user: str = "acme:alice",
    action: str = "s3:GetObject",
    key: str = "/k",
    **facts: str | tuple[str, ...],
) -> Verdict:
    context = {name.replace("__", ":").replace("_", "-"): value for name, value in facts.items()}

    def lookup(name: str) -> tuple[str, ...] | None:
        value = context.get(name)
        return (value,) if isinstance(value, str) else value

    account = user.partition(":")[0] if user else None
    return held.judge(Asked(account, user or None, action, BUCKET + key, lookup))


# What is a policy.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        ("[]", "Policies must be valid JSON and the first byte must be '{'"),
        ("{", "Policies must be valid JSON and the first byte must be '{'"),
        ('{"Statement": NaN}', "Invalid policy syntax"),
        ("{}", "Missing required field Statement"),
        ('{"Statement": []}', "Invalid policy syntax."),
        ('{"Statement": "s"}', "Invalid policy syntax."),
        ('{"Version": "2020-01-01", "Statement": {}}', "The policy must contain a valid version string"),
        ('{"Other": 1, "Statement": {}}', "Unknown field Other"),
        ('{"Id": "a", "Id": "b", "Statement": {}}', "Invalid policy syntax."),
        ('{"Statement": ' + "[" * 5000, "Invalid policy syntax."),
        ('{"Id": "' + "x" * POLICY_BYTES_MAX + '"}', "Policy exceeds the maximum allowed document size."),
    ],
)
def test_what_is_no_policy_is_refused_in_aws_words(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy, match=message.replace("{", r"\{").replace(".", r"\.")):
        parse_policy(text.encode(), "bkt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Effect": "allow"}, "Invalid effect: allow"),
        ({"Effect": None}, "Missing required field Effect"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Action": None}, "Missing required field Action"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Colour": "red"}, "Unknown field Colour"),
        ({"Action": "s3:GetObjct"}, "Policy has invalid action"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Action": []}, "Invalid policy syntax."),
        ({"Action": 7}, "Invalid policy syntax."),
        ({"NotAction": "s3:*"}, "Invalid policy syntax."),
        ({"Resource": "bkt/*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:eu:1:bkt"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::bkt/${aws:username"}, "Policy has invalid resource"),
        ({"Principal": "alice"}, "Invalid principal in policy"),
        ({"Principal": {}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::acme:role/r"}}, "Invalid principal in policy"),
        ({"Principal": {"CanonicalUser": "*"}}, "Invalid principal in policy"),
        ({"Principal": {"Everyone": "*"}}, "Invalid principal in policy"),
        ({"Condition": []}, "Invalid policy syntax."),
        ({"Condition": {"StringEquals": "x"}}, "Invalid policy syntax."),
        ({"Condition": {"StringIs": {"aws:username": "x"}}}, "Invalid Condition type : StringIs"),
        ({"Condition": {"NullIfExists": {"s3:prefix": "true"}}}, "Invalid Condition type : NullIfExists"),
        ({"Condition": {"Some:Bool": {"aws:username": "true"}}}, "Invalid Condition type : Some:Bool"),
        ({"Condition": {"StringEquals": {"s3:colour": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/": "x"}}}, "invalid condition key"),
        ({"Condition": {"StringEquals": {"username": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "everywhere"}}}, "of a condition is not valid"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}}, "of a condition is not valid"),
        ({"Condition": {"NumericEquals": {"s3:max-keys": "ten"}}}, "of a condition is not valid"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "maybe"}}}, "of a condition is not valid"),
    ],
)
def test_a_statement_that_is_none_is_refused_in_aws_words(change: dict[str, Any], message: str) -> None:
    statement = {name: value for name, value in {**ALLOW, **change}.items() if value is not None}
    with pytest.raises(MalformedPolicy, match=message.replace(".", r"\.")):
        policy(statement)


def test_an_allow_of_all_but_somebody_is_refused_and_a_deny_is_not() -> None:
    with pytest.raises(MalformedPolicy, match="Allow with NotPrincipal is not allowed"):
        policy(allow(NotPrincipal={"AWS": "acme"}))
    policy(deny(NotPrincipal={"AWS": "acme"}))


def test_statement_ids_are_unique() -> None:
    with pytest.raises(MalformedPolicy, match="must be unique"):
        policy(allow(Sid="one"), deny(Sid="one"))


def test_a_stored_policy_that_is_none_is_corrupt_and_opens_nothing() -> None:
    with pytest.raises(CorruptRecord):
        stored_policy(b"{}", "bkt")


# What a policy judges.

USERS = ("acme:alice", "acme:bob", "other:alice", "")


@pytest.mark.parametrize(
    ("principal", "included"),
    [
        ("*", {"acme:alice", "acme:bob", "other:alice", ""}),
        ({"AWS": "*"}, {"acme:alice", "acme:bob", "other:alice", ""}),
        ({"AWS": "acme"}, {"acme:alice", "acme:bob"}),
        ({"AWS": "arn:aws:iam::acme:root"}, {"acme:alice", "acme:bob"}),
        ({"AWS": "arn:aws:iam::acme:user/alice"}, {"acme:alice"}),
        ({"AWS": "arn:aws:iam::acme:user/division/alice"}, {"acme:alice"}),
        ({"AWS": "other:alice"}, {"other:alice"}),
        ({"CanonicalUser": "acme:bob"}, {"acme:bob"}),
        ({"AWS": ["acme:bob", "other"]}, {"acme:bob", "other:alice"}),
        ({"Service": "logging.s3.amazonaws.com"}, set()),
        ({"Federated": "cognito"}, set()),
    ],
)
def test_a_principal_names_whom_it_says(principal: Any, included: set[str]) -> None:
    held = policy(allow(Principal=principal))
    assert {user for user in USERS if judge(held, user) is Verdict.ALLOW} == included
    kept = policy(allow(), deny(NotPrincipal=principal))
    assert {user for user in USERS if judge(kept, user) is Verdict.ALLOW} == included


@pytest.mark.parametrize(
    ("pattern", "action", "fits"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("s3:getobject", "s3:GetObject", True),
        ("S3:GetObject", "s3:GetObject", True),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        ("s3:GetObject*", "s3:GetObjectVersion", True),
        ("s3:*Object", "s3:DeleteObject", True),
        ("s3:?etObject", "s3:GetObject", True),
        ("s3:*", "s3:PutBucketPolicy", True),
        ("*", "s3:PutBucketPolicy", True),
        (["s3:PutObject", "s3:GetObject"], "s3:GetObject", True),
    ],
)
def test_actions_match_by_wildcards_whatever_their_case(pattern: Any, action: str, fits: bool) -> None:
    assert (judge(policy(allow(Action=pattern)), action=action) is Verdict.ALLOW) is fits
    assert (judge(policy(allow(NotAction=pattern)), action=action) is Verdict.ALLOW) is not fits


@pytest.mark.parametrize(
    ("resource", "key", "fits"),
    [
        (BUCKET, "", True),
        (BUCKET, "/k", False),
        (f"{BUCKET}/*", "", False),
        (f"{BUCKET}/*", "/a/b", True),
        (f"{BUCKET}/a/*", "/a/b", True),
        (f"{BUCKET}/a/*", "/A/b", False),
        (f"{BUCKET}/?.txt", "/a.txt", True),
        (f"{BUCKET}/?.txt", "/ab.txt", False),
        (f"{BUCKET}/a*b*c", "/a-b-b-c", True),
        (f"{BUCKET}/ab*ba", "/aba", False),
        ("arn:aws:s3:::*", "/k", True),
        ("arn:aws:s3:::b?t/*", "/k", True),
        ("*", "/k", True),
        ([BUCKET, f"{BUCKET}/x"], "/x", True),
    ],
)
def test_resources_match_by_wildcards(resource: Any, key: str, fits: bool) -> None:
    assert (judge(policy(allow(Resource=resource)), key=key) is Verdict.ALLOW) is fits
    assert (judge(policy(allow(NotResource=resource)), key=key) is Verdict.ALLOW) is not fits


def test_nothing_said_is_silence_and_one_deny_outweighs_every_allow() -> None:
    assert judge(policy(allow(Principal={"AWS": "other"}))) is Verdict.SILENT
    assert judge(policy(allow())) is Verdict.ALLOW
    for statements in ((allow(), deny()), (deny(), allow()), (allow(), allow(), deny(Action="s3:*"))):
        assert judge(policy(*statements)) is Verdict.DENY
    assert judge(policy(allow(), deny(Resource=f"{BUCKET}/other"))) is Verdict.ALLOW


def test_variables_stand_for_what_the_request_says() -> None:
    home = policy(allow(Resource=f"{BUCKET}/home/${{aws:username}}/*"))
    assert judge(home, key="/home/alice/x", aws__username="alice") is Verdict.ALLOW
    assert judge(home, key="/home/bob/x", aws__username="alice") is Verdict.SILENT
    assert judge(home, key="/home//x") is Verdict.SILENT
    # What a user is called is never a wildcard.
    assert judge(home, key="/home/bob/x", aws__username="*") is Verdict.SILENT
    assert judge(home, key="/home/*/x", aws__username="*") is Verdict.ALLOW
    literal = policy(allow(Resource=f"{BUCKET}/${{*}}${{$}}"))
    assert judge(literal, key="/*$") is Verdict.ALLOW
    assert judge(literal, key="/a$") is Verdict.SILENT
    fallback = policy(allow(Resource=f"{BUCKET}/${{aws:username, 'nobody'}}"))
    assert judge(fallback, key="/nobody") is Verdict.ALLOW
    old = policy(allow(Resource=f"{BUCKET}/${{aws:username}}"), version="2008-10-17")
    assert judge(old, key="/alice", aws__username="alice") is Verdict.SILENT
    assert judge(old, key="/${aws:username}") is Verdict.ALLOW


def test_a_variable_without_a_value_opens_nothing_and_closes_what_it_may() -> None:
    assert judge(policy(allow(NotResource=f"{BUCKET}/${{aws:username}}/*"))) is Verdict.SILENT
    assert judge(policy(allow(), deny(NotResource=f"{BUCKET}/${{aws:username}}/*"))) is Verdict.DENY


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        (allow(), True),
        (allow(Principal={"AWS": "acme"}), False),
        (deny(), False),
        (allow(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), False),
        (allow(Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), True),
        (allow(Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "64.0.0.0/2"]}}), True),
        (allow(Condition={"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}), True),
        (allow(Condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}), True),
        (allow(Condition={"StringEquals": {"aws:SourceVpce": "vpce-1"}}), False),
        (allow(Condition={"StringLike": {"aws:SourceVpc": "vpc-*"}}), True),
        (allow(Condition={"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}), True),
        (allow(Condition={"StringEquals": {"aws:username": "${aws:username}"}}), True),
        (allow(Condition={"StringLike": {"aws:Referer": "http://example.com/*"}}), True),
    ],
)
def test_what_lets_in_everybody_without_a_narrow_condition_is_public(
    statement: dict[str, Any], public: bool
) -> None:
    assert policy(statement).is_public is public


# Laws.

_NAMES = st.sampled_from(["*", "acme", "acme:alice", "arn:aws:iam::acme:user/bob", "other"])
_CONDITIONS = st.sampled_from(
    [
        {},
        {"StringEquals": {"aws:username": ["alice", "bob"]}},
        {"StringNotLike": {"s3:prefix": "a*"}},
        {"Null": {"s3:prefix": "true"}},
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["a*"]}},
        {"NumericLessThanIfExists": {"s3:max-keys": 10}},
    ]
)
_STATEMENTS = st.builds(
    lambda effect, principal, action, resource, condition: {
        "Effect": effect,
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Deny"]),
    _NAMES,
    st.sampled_from(["s3:*", "s3:GetObject", "s3:*Object", "s3:ListBucket"]),
    st.sampled_from([BUCKET, f"{BUCKET}/*", f"{BUCKET}/a*", f"{BUCKET}/${{aws:username}}*"]),
    _CONDITIONS,
)
_REQUESTS = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "action": st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:ListBucket"]),
        "key": st.sampled_from(["", "/a", "/alice", "/b"]),
    },
    optional={
        "aws__username": st.sampled_from(["alice", "bob"]),
        "s3__prefix": st.sampled_from(["", "a", "b"]),
        "aws__sourceip": st.sampled_from(["10.1.2.3", "192.0.2.1", "::1", "nonsense"]),
        "s3__max_keys": st.sampled_from(["5", "50", "many"]),
    },
)


@given(st.lists(_STATEMENTS, min_size=1, max_size=5), _STATEMENTS, _REQUESTS)
def test_one_more_deny_never_opens_and_one_more_allow_never_closes(
    statements: list[dict[str, Any]], more: dict[str, Any], request: dict[str, Any]
) -> None:
    rank = {Verdict.DENY: 0, Verdict.SILENT: 1, Verdict.ALLOW: 2}
    before = rank[judge(policy(*statements), **request)]
    after = rank[judge(policy(*statements, more), **request)]
    if more["Effect"] == "Deny":
        assert after <= before
    else:
        assert after >= before


@given(st.lists(_STATEMENTS, min_size=1, max_size=5), _REQUESTS)
def test_the_order_of_statements_means_nothing(
    statements: list[dict[str, Any]], request: dict[str, Any]
) -> None:
    assert judge(policy(*statements), **request) is judge(policy(*reversed(statements)), **request)


_FIELDS = ("Effect", "Principal", "NotPrincipal", "Action", "Resource", "Condition", "Sid")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("Effect", "Principal", "NotPrincipal", "Action", "Resource", "Condition", "Sid"), _JSON
        ),
    ),
    _STATEMENTS,
    st.sampled_from(["", "Principal", "Action", "Resource", "Condition"]),
)
def test_whatever_is_sent_is_a_policy_or_is_refused(
    senseless: dict[str, Any], sensible: dict[str, Any], replaced: str
) -> None:
    mixed = {**sensible, **({replaced: senseless.get(replaced)} if replaced else senseless)}
    try:
        held = policy(mixed)
    except MalformedPolicy:
        return
    assert judge(held) in Verdict


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_a_policy_or_are_refused(text: bytes) -> None:
    for body in (text, b"{" + text, b'{"Statement":' + text + b"}"):
        try:
            parse_policy(body, "bkt")
        except MalformedPolicy:
            continue
