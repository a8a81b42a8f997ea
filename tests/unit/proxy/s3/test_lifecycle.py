"""Lifecycle configurations: kept, shown as they came, and held to AWS's limits."""

import pytest

from tests.unit.proxy.s3.client import Answer, World

HEADER = "x-amz-transition-default-minimum-object-size"
FILTER = "<Filter><Prefix>a/</Prefix></Filter>"
DAYS = "<Expiration><Days>1</Days></Expiration>"


@pytest.fixture
def world() -> World:
    world = World()
    assert world.admin("PUT", "/bucket").status == 200
    return world


def rule(*inside: str, rule_id: str = "one", status: str = "Enabled") -> str:
    return f"<Rule><ID>{rule_id}</ID><Status>{status}</Status>{''.join(inside)}</Rule>"


def document(*rules: str) -> bytes:
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return f"<LifecycleConfiguration {space}>{''.join(rules)}</LifecycleConfiguration>".encode()


def put(world: World, *rules: str, headers: dict[str, str] | None = None) -> Answer:
    return world.admin("PUT", "/bucket?lifecycle", document(*rules), headers)


def shown(world: World) -> str:
    answer = world.admin("GET", "/bucket?lifecycle")
    assert answer.status == 200
    return answer.body.decode().partition("?>\n")[2]


@pytest.mark.parametrize(
    "inside",
    [
        f"{FILTER}<Status>Enabled</Status>{DAYS}",
        f"<Prefix>old/</Prefix><Status>Disabled</Status>{DAYS}",
        (
            "<Filter><Prefix></Prefix></Filter><Status>Enabled</Status>"
            "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"
        ),
        "<Filter><Tag><Key>k</Key><Value>v&amp;</Value></Tag></Filter><Status>Enabled</Status>" + DAYS,
        (
            "<Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value></Value></Tag><Tag><Key>l</Key><Value>w</Value>"
            "</Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And>"
            f"</Filter><Status>Enabled</Status>{DAYS}"
        ),
        (
            f"{FILTER}<Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
            "</Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
            "<NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
            "</AbortIncompleteMultipartUpload>"
        ),
    ],
)
def test_a_configuration_is_shown_as_it_came(world: World, inside: str) -> None:
    whole = f"<Rule><ID>one</ID>{inside}</Rule>"
    assert put(world, whole).status == 200
    assert shown(world) == document(whole).decode()


def test_a_bucket_without_rules_says_so_and_rules_are_taken_away(world: World) -> None:
    assert world.admin("GET", "/bucket?lifecycle").code == "NoSuchLifecycleConfiguration"
    assert world.admin("DELETE", "/bucket?lifecycle").status == 204
    assert put(world, rule(FILTER, DAYS)).status == 200
    assert world.admin("GET", "/bucket?lifecycle").status == 200
    assert world.admin("DELETE", "/bucket?lifecycle").status == 204
    assert world.admin("GET", "/bucket?lifecycle").code == "NoSuchLifecycleConfiguration"
    assert world.admin("GET", "/absent?lifecycle").code == "NoSuchBucket"
    assert world.admin("PUT", "/absent?lifecycle", document(rule(FILTER, DAYS))).code == "NoSuchBucket"


def test_only_who_owns_the_bucket_sees_or_sets_its_rules(world: World) -> None:
    other = world.user("other", "admin")
    for method, body in (("GET", b""), ("PUT", document(rule(FILTER, DAYS))), ("DELETE", b"")):
        assert other(method, "/bucket?lifecycle", body).code == "AccessDenied"
        assert world.anonymous(method, "/bucket?lifecycle", body).code == "AccessDenied"


def test_rules_without_an_id_get_one_each(world: World) -> None:
    assert put(world, f"<Rule>{FILTER}<Status>Enabled</Status>{DAYS}</Rule>" * 2).status == 200
    ids = world.admin("GET", "/bucket?lifecycle").texts("ID")
    assert len(set(ids)) == 2
    assert all(ids)


def test_the_smallest_size_of_transitions_is_kept_and_told(world: World) -> None:
    chosen = {HEADER: "varies_by_storage_class"}
    assert put(world, rule(FILTER, DAYS), headers=chosen).headers[HEADER] == "varies_by_storage_class"
    assert world.admin("GET", "/bucket?lifecycle").headers[HEADER] == "varies_by_storage_class"
    assert put(world, rule(FILTER, DAYS)).headers[HEADER] == "all_storage_classes_128K"
    assert put(world, rule(FILTER, DAYS), headers={HEADER: "x"}).code == "InvalidArgument"


def test_conditions_beside_and_must_hold_as_well(world: World) -> None:
    mixed = (
        "<Filter><Prefix>days1/</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>"
        "<And><Prefix>days1</Prefix><Tag><Key>b</Key><Value>2</Value></Tag></And></Filter>"
    )
    assert put(world, rule(mixed, DAYS)).status == 200
    assert "<And><Prefix>days1/</Prefix><Tag><Key>a</Key>" in shown(world)
    assert world.admin("GET", "/bucket?lifecycle").texts("Key") == ["a", "b"]


ABORT = (
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{}</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload>"
)
NONCURRENT = (
    "<NoncurrentVersionExpiration><NoncurrentDays>{}</NoncurrentDays>"
    "<NewerNoncurrentVersions>{}</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
)
TAG = "<Tag><Key>k</Key><Value>v</Value></Tag>"


@pytest.mark.parametrize(
    ("code", "inside"),
    [
        ("MalformedXML", DAYS),
        ("MalformedXML", f"{FILTER}<Prefix>a</Prefix>{DAYS}"),
        ("MalformedXML", f"{FILTER}{DAYS}<Other/>"),
        ("MalformedXML", f"<Filter><Other/></Filter>{DAYS}"),
        ("MalformedXML", f"<Filter><And><And/></And></Filter>{DAYS}"),
        ("MalformedXML", f"<Filter><Prefix>a</Prefix><And><Prefix>b</Prefix></And></Filter>{DAYS}"),
        ("InvalidRequest", f"<Filter><Prefix>{'p' * 1025}</Prefix></Filter>{DAYS}"),
        ("InvalidRequest", f"<Filter><And>{TAG}{TAG}</And></Filter>{DAYS}"),
        ("InvalidTag", f"<Filter><Tag><Key></Key><Value>v</Value></Tag></Filter>{DAYS}"),
        ("MalformedXML", f"<Filter><ObjectSizeLessThan>0</ObjectSizeLessThan></Filter>{DAYS}"),
        (
            "InvalidRequest",
            (
                "<Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
                f"<ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>{DAYS}"
            ),
        ),
        ("InvalidRequest", FILTER),
        ("InvalidArgument", f"{FILTER}<Expiration><Days>0</Days></Expiration>"),
        ("InvalidArgument", f"{FILTER}<Expiration><Days>-1</Days></Expiration>"),
        ("MalformedXML", f"{FILTER}<Expiration><Days>x</Days></Expiration>"),
        ("MalformedXML", f"{FILTER}<Expiration><Days>99999999999</Days></Expiration>"),
        ("MalformedXML", f"{FILTER}<Expiration></Expiration>"),
        ("MalformedXML", f"{FILTER}<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"),
        (
            "MalformedXML",
            (
                f"{FILTER}<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
                "</Expiration>"
            ),
        ),
        ("InvalidArgument", f"{FILTER}<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>"),
        ("MalformedXML", f"{FILTER}<Expiration><Date>soon</Date></Expiration>"),
        ("InvalidArgument", FILTER + NONCURRENT.format(0, 1)),
        ("InvalidArgument", FILTER + NONCURRENT.format(1, 0)),
        ("InvalidArgument", FILTER + NONCURRENT.format(1, 101)),
        ("InvalidArgument", FILTER + ABORT.format(0)),
        ("InvalidRequest", f"<Filter>{TAG}</Filter>" + ABORT.format(1)),
        (
            "InvalidRequest",
            (
                f"<Filter>{TAG}</Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"
                "</Expiration>"
            ),
        ),
        (
            "NotImplemented",
            f"{FILTER}<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
        ),
        (
            "InvalidStorageClass",
            f"{FILTER}<Transition><Days>1</Days><StorageClass>FROZEN</StorageClass></Transition>",
        ),
        (
            "InvalidArgument",
            (
                f"{FILTER}<Transition><Date>2030-01-01T01:00:00Z</Date><StorageClass>GLACIER</StorageClass>"
                "</Transition>"
            ),
        ),
    ],
)
def test_what_a_rule_cannot_say_is_refused(world: World, code: str, inside: str) -> None:
    assert put(world, rule(inside)).code == code


def test_rules_are_counted_named_and_switched_as_aws_wants(world: World) -> None:
    assert put(world).code == "MalformedXML"
    assert put(world, "<Other/>").code == "MalformedXML"
    assert put(world, rule(FILTER, DAYS, status="enabled")).code == "MalformedXML"
    assert put(world, rule(FILTER, DAYS, rule_id="a" * 256)).code == "InvalidArgument"
    assert put(world, rule(FILTER, DAYS), rule(FILTER, DAYS)).code == "InvalidArgument"
    many = [rule(FILTER, DAYS, rule_id=str(number)) for number in range(1001)]
    assert put(world, *many).code == "MalformedXML"
    assert put(world, *many[1:]).status == 200
    assert len(world.admin("GET", "/bucket?lifecycle").texts("ID")) == 1000
