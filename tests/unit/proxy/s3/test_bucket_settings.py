"""Tags of buckets, and settings that say what holds anyway: who pays, no logging, no notification."""

import pytest

from proxy.s3 import tags
from proxy.s3.errors import S3Error
from tests.unit.proxy.s3.client import World


@pytest.fixture
def world() -> World:
    world = World()
    world.admin("PUT", "/bucket")
    return world


def tagging(*pairs: tuple[str, str]) -> bytes:
    inner = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()


def test_tags_of_a_bucket_are_put_shown_and_deleted(world: World) -> None:
    assert world.admin("GET", "/bucket?tagging").code == "NoSuchTagSet"
    assert world.admin("PUT", "/bucket?tagging", tagging(("b", "2"), ("a", ""))).status == 204
    shown = world.admin("GET", "/bucket?tagging")
    assert (shown.texts("Key"), shown.texts("Value")) == (["a", "b"], ["", "2"])
    assert world.admin("DELETE", "/bucket?tagging").status == 204
    assert world.admin("GET", "/bucket?tagging").code == "NoSuchTagSet"


def test_only_the_owner_tags_a_bucket(world: World) -> None:
    other = world.user("other", "admin")
    for method, body in (("GET", b""), ("PUT", tagging(("a", "1"))), ("DELETE", b"")):
        assert other(method, "/bucket?tagging", body).code == "AccessDenied"


def test_a_bucket_has_fifty_tags_an_object_ten(world: World) -> None:
    world.admin("PUT", "/bucket/k", b"x")
    for path, count in (("/bucket?tagging", 50), ("/bucket/k?tagging", 10)):
        pairs = [(f"k{number:02}", "v") for number in range(count + 1)]
        assert world.admin("PUT", path, tagging(*pairs)).code == "InvalidTag"
        assert world.admin("PUT", path, tagging(*pairs[:-1])).status in (200, 204)
        assert len(world.admin("GET", path).texts("Key")) == count


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("", "v")], "InvalidTag"),
        ([("k" * 129, "v")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("a", "1"), ("a", "2")], "InvalidTag"),
        ([("aws:a", "1")], "InvalidTag"),
        ([("a&amp;b", "1")], "InvalidTag"),
        ([("a", "1\n2")], "InvalidTag"),
    ],
)
def test_what_is_no_tag_is_refused(world: World, pairs: list[tuple[str, str]], code: str) -> None:
    assert world.admin("PUT", "/bucket?tagging", tagging(*pairs)).code == code
    assert world.admin("GET", "/bucket?tagging").code == "NoSuchTagSet"


def test_tags_may_be_of_any_script() -> None:
    held = {"stra\N{LATIN SMALL LETTER SHARP S}e": "\N{CJK UNIFIED IDEOGRAPH-6771} 1+-=._:/@"}
    assert tags.check(held, count_max=1) == held
    with pytest.raises(S3Error):
        tags.check({"a": "\udcff"}, count_max=1)


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("logging", b"<BucketLoggingStatus/>", 200),
        ("logging", b"<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>", 501),
        ("logging", b"<Else/>", 400),
        ("notification", b"<NotificationConfiguration> </NotificationConfiguration>", 200),
        (
            "notification",
            b"<NotificationConfiguration><TopicConfiguration/></NotificationConfiguration>",
            501,
        ),
        (
            "requestPayment",
            b"<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
            200,
        ),
        (
            "requestPayment",
            b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
            501,
        ),
        (
            "requestPayment",
            b"<RequestPaymentConfiguration><Payer>x</Payer></RequestPaymentConfiguration>",
            400,
        ),
        ("accelerate", b"<AccelerateConfiguration/>", 501),
    ],
)
def test_a_setting_is_accepted_where_it_holds_anyway(
    world: World, query: str, body: bytes, status: int
) -> None:
    answer = world.admin("PUT", f"/bucket?{query}", body)
    assert answer.status == status
    if status == 501:
        assert answer.code == "NotImplemented"
        assert answer.text("Message").startswith("PutBucket")
    assert world.user("other", "admin")("PUT", f"/bucket?{query}", body).status in (403, 501)
    assert world.admin("PUT", f"/nowhere?{query}", body).status in (404, 501)


def test_the_owner_pays(world: World) -> None:
    assert world.admin("GET", "/bucket?requestPayment").text("Payer") == "BucketOwner"
