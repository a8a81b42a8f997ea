"""Object lock: configurations, retentions and legal holds, and what they refuse."""

import datetime as dt

import pytest

from model.containers import Versioning
from model.names import ContainerPath
from model.retention import OBJECT_LOCK, LockRule, pack_rule
from tests.unit.proxy.s3.client import Answer, Client, World

LOCKED = {"x-amz-bucket-object-lock-enabled": "true"}
BYPASS = {"x-amz-bypass-governance-retention": "true"}
MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
HOLD = "x-amz-object-lock-legal-hold"


@pytest.fixture
def world() -> World:
    world = World()
    assert world.admin("PUT", "/locked", headers=LOCKED).status == 200
    assert world.admin("PUT", "/plain").status == 200
    assert world.admin("PUT", "/locked/k", b"bytes").status == 200
    assert world.admin("PUT", "/plain/k", b"bytes").status == 200
    return world


@pytest.fixture
def client(world: World) -> Client:
    return world.admin


def configuration(default: str = "", enabled: str = "Enabled") -> bytes:
    rule = f"<Rule><DefaultRetention>{default}</DefaultRetention></Rule>" if default else ""
    return (
        f"<ObjectLockConfiguration><ObjectLockEnabled>{enabled}</ObjectLockEnabled>{rule}"
        "</ObjectLockConfiguration>"
    ).encode()


def moment(world: World, days: float) -> str:
    at = dt.datetime.fromtimestamp(world.now_ms / 1000 + days * 86_400, dt.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def retention(mode: str, until: str) -> bytes:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()


def retain(
    world: World, mode: str, days: float, headers: dict[str, str] | None = None, client: Client | None = None
) -> Answer:
    body = (
        f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{moment(world, days)}</RetainUntilDate></Retention>"
    )
    return (client or world.admin)("PUT", "/locked/k?retention", body.encode(), headers)


def hold(world: World, status: str) -> Answer:
    body = f"<LegalHold><Status>{status}</Status></LegalHold>"
    return world.admin("PUT", "/locked/k?legal-hold", body.encode())


# Buckets.


def test_a_bucket_made_for_locks_says_so_and_keeps_versions(client: Client) -> None:
    shown = client("GET", "/locked?object-lock")
    assert (shown.status, shown.text("ObjectLockEnabled"), shown.texts("Mode")) == (200, "Enabled", [])
    assert client("GET", "/locked?versioning").text("Status") == "Enabled"
    assert client("GET", "/plain?object-lock").code == "ObjectLockConfigurationNotFoundError"


@pytest.mark.parametrize(
    "default", ["<Mode>GOVERNANCE</Mode><Days>1</Days>", "<Mode>COMPLIANCE</Mode><Years>2</Years>"]
)
def test_a_default_is_shown_as_it_was_set(client: Client, default: str) -> None:
    assert client("PUT", "/locked?object-lock", configuration(default)).status == 200
    assert default in client("GET", "/locked?object-lock").body.decode()
    assert client("PUT", "/locked?object-lock", configuration()).status == 200
    assert client("GET", "/locked?object-lock").texts("Mode") == []


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("MalformedXML", configuration("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>")),
        ("MalformedXML", configuration("<Mode>GOVERNANCE</Mode>")),
        ("MalformedXML", configuration("<Mode>governance</Mode><Days>1</Days>")),
        ("MalformedXML", configuration("<Mode>GOVERNANCE</Mode><Days>x</Days>")),
        ("MalformedXML", configuration("<Mode>GOVERNANCE</Mode><Days>1</Days>", "Disabled")),
        ("MalformedXML", b"<ObjectLockConfiguration/>"),
        ("InvalidRetentionPeriod", configuration("<Mode>GOVERNANCE</Mode><Days>0</Days>")),
        ("InvalidRetentionPeriod", configuration("<Mode>GOVERNANCE</Mode><Years>-1</Years>")),
        ("InvalidRetentionPeriod", configuration("<Mode>GOVERNANCE</Mode><Days>36501</Days>")),
        ("InvalidRetentionPeriod", configuration("<Mode>GOVERNANCE</Mode><Years>101</Years>")),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(client: Client, code: str, body: bytes) -> None:
    assert client("PUT", "/locked?object-lock", body).code == code


def test_only_a_bucket_that_keeps_versions_can_be_locked(client: Client) -> None:
    refused = client("PUT", "/plain?object-lock", configuration())
    assert (refused.status, refused.code) == (409, "InvalidBucketState")


def test_making_ones_bucket_again_locks_nothing(client: Client) -> None:
    assert client("PUT", "/plain", headers=LOCKED).status == 200
    assert client("GET", "/plain?object-lock").code == "ObjectLockConfigurationNotFoundError"


# Versions.


@pytest.mark.parametrize("sub", ["retention", "legal-hold"])
def test_versions_of_a_plain_bucket_have_no_locks(world: World, sub: str) -> None:
    bodies = {
        "retention": retention("GOVERNANCE", moment(world, 1)),
        "legal-hold": b"<LegalHold><Status>ON</Status></LegalHold>",
    }
    for answer in (
        world.admin("GET", f"/plain/k?{sub}"),
        world.admin("PUT", f"/plain/k?{sub}", bodies[sub]),
        world.admin("PUT", "/plain/k", b"", {HOLD: "ON"}),
    ):
        assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_locks_are_shown_where_they_were_set(world: World) -> None:
    client = world.admin
    assert client("GET", "/locked/k?retention").code == "NoSuchObjectLockConfiguration"
    assert client("GET", "/locked/k?legal-hold").code == "NoSuchObjectLockConfiguration"
    assert client("GET", "/locked/absent?retention").code == "NoSuchKey"
    assert retain(world, "GOVERNANCE", 2).status == 200
    assert hold(world, "ON").status == 200
    shown = client("GET", "/locked/k?retention")
    assert (shown.text("Mode"), shown.text("RetainUntilDate")) == ("GOVERNANCE", moment(world, 2))
    assert client("GET", "/locked/k?legal-hold").text("Status") == "ON"
    for method in ("GET", "HEAD"):
        headers = client(method, "/locked/k").headers
        assert (headers[MODE], headers[UNTIL], headers[HOLD]) == ("GOVERNANCE", moment(world, 2), "ON")
    assert hold(world, "OFF").status == 200
    assert client("GET", "/locked/k?legal-hold").text("Status") == "OFF"


def test_locks_come_with_the_headers_of_a_new_object(world: World) -> None:
    client = world.admin
    headers = {MODE: "COMPLIANCE", UNTIL: moment(world, 3), HOLD: "ON"}
    assert client("PUT", "/locked/new", b"", headers).status == 200
    copied = {"x-amz-copy-source": "/locked/k", **headers}
    assert client("PUT", "/locked/copy", headers=copied).status == 200
    for key in ("new", "copy"):
        shown = client("HEAD", f"/locked/{key}").headers
        assert {name: shown[name] for name in headers} == headers
    assert MODE not in client("HEAD", "/locked/k").headers


@pytest.mark.parametrize(
    "headers",
    [
        {MODE: "GOVERNANCE"},
        {UNTIL: "2100-01-01T00:00:00Z"},
        {MODE: "governance", UNTIL: "2100-01-01T00:00:00Z"},
        {MODE: "GOVERNANCE", UNTIL: "2000-01-01T00:00:00Z"},
        {MODE: "GOVERNANCE", UNTIL: "soon"},
        {HOLD: "on"},
    ],
)
def test_headers_that_make_no_lock_are_refused(client: Client, headers: dict[str, str]) -> None:
    assert client("PUT", "/locked/k", b"", headers).code == "InvalidArgument"


def test_a_retention_in_force_is_only_lengthened(world: World) -> None:
    assert retain(world, "COMPLIANCE", 5).status == 200
    assert retain(world, "COMPLIANCE", 6).status == 200
    for mode, days in (("COMPLIANCE", 5), ("GOVERNANCE", 9)):
        refused = retain(world, mode, days, BYPASS)
        assert (refused.status, refused.code) == (403, "AccessDenied")
    assert world.admin("PUT", "/locked/k?retention", b"<Retention/>", BYPASS).code == "AccessDenied"
    assert world.admin("GET", "/locked/k?retention").text("RetainUntilDate") == moment(world, 6)


def test_governance_is_loosened_by_who_may_and_says_so(world: World) -> None:
    assert retain(world, "GOVERNANCE", 5).status == 200
    assert retain(world, "GOVERNANCE", 3).code == "AccessDenied"
    assert retain(world, "COMPLIANCE", 5).code == "AccessDenied"
    assert world.admin("PUT", "/locked/k?retention", b"<Retention/>").code == "AccessDenied"
    assert retain(world, "GOVERNANCE", 3, BYPASS).status == 200
    assert world.admin("PUT", "/locked/k?retention", b"<Retention/>", BYPASS).status == 200
    assert world.admin("GET", "/locked/k?retention").code == "NoSuchObjectLockConfiguration"


def test_a_retention_is_replaced_once_its_time_has_passed(world: World) -> None:
    assert retain(world, "COMPLIANCE", 1 / 1440).status == 200
    assert retain(world, "GOVERNANCE", 1).code == "AccessDenied"
    world.now_ms += 120_000
    assert retain(world, "GOVERNANCE", 1).status == 200


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("MalformedXML", b"<Retention><Mode>GOVERNANCE</Mode></Retention>"),
        ("MalformedXML", retention("abc", "2100-01-01")),
        ("MalformedXML", retention("GOVERNANCE", "x")),
        ("InvalidArgument", retention("GOVERNANCE", "2000-01-01")),
        ("MalformedXML", b"<Other/>"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(client: Client, code: str, body: bytes) -> None:
    assert client("PUT", "/locked/k?retention", body).code == code


def test_a_legal_hold_is_on_or_off(world: World) -> None:
    assert hold(world, "on").code == "MalformedXML"


def test_strangers_neither_see_nor_set_locks(world: World) -> None:
    other = world.user("other", "admin")
    assert retain(world, "GOVERNANCE", 1, client=other).code == "AccessDenied"
    for sub in ("retention", "legal-hold"):
        assert other("GET", f"/locked/k?{sub}").code == "AccessDenied"
    assert other("GET", "/locked?object-lock").code == "AccessDenied"
    assert other("PUT", "/locked?object-lock", configuration()).code == "AccessDenied"


def test_of_a_lock_and_a_suspension_at_once_the_lock_stays(world: World) -> None:
    client, colony = world.admin, world.colony
    enabled, suspended = (
        f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
        for status in ("Enabled", "Suspended")
    )
    assert client("PUT", "/plain?versioning", enabled).status == 200
    set_versioning = colony.set_versioning

    async def set_late(path: ContainerPath, wanted: Versioning) -> None:
        await colony.set_container(path, {OBJECT_LOCK: pack_rule(LockRule())})
        await set_versioning(path, wanted)

    colony.set_versioning = set_late  # type: ignore[method-assign]
    assert client("PUT", "/plain?versioning", suspended).code == "InvalidBucketState"
    assert client("GET", "/plain?versioning").text("Status") == "Enabled"
