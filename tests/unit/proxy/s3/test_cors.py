"""CORS of buckets: configured, asked for by preflights, and told in answers."""

import pytest

from model.errors import CorruptRecord
from proxy.s3 import cors
from tests.unit.proxy.s3.client import World

RULES = (
    b"<CORSConfiguration><CORSRule><ID>pages</ID><AllowedOrigin>https://*.example.org</AllowedOrigin>"
    b"<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>X-Amz-*</AllowedHeader>"
    b"<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>"
    b"<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>"
)
PAGE = "https://www.example.org"


@pytest.fixture
def world() -> World:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket?cors", RULES)
    return world


def rule(inner: str) -> bytes:
    return f"<CORSConfiguration><CORSRule>{inner}</CORSRule></CORSConfiguration>".encode()


def preflight(world: World, path: str = "/bucket/key", **headers: str) -> tuple[int, dict[str, str], str]:
    sent = {"host": "s3.example.org", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = world.anonymous.send("OPTIONS", path, b"", sent)
    return answer.status, answer.headers, answer.code if answer.body else ""


def test_a_configuration_is_put_shown_and_deleted(world: World) -> None:
    shown = world.admin("GET", "/bucket?cors")
    assert shown.texts("AllowedMethod") == ["GET", "PUT", "HEAD"]
    assert shown.texts("AllowedOrigin") == ["https://*.example.org", "*"]
    assert (shown.text("ID"), shown.text("MaxAgeSeconds")) == ("pages", "3000")
    assert (shown.text("ExposeHeader"), shown.text("AllowedHeader")) == ("ETag", "x-amz-*")
    assert world.admin("DELETE", "/bucket?cors").status == 204
    assert world.admin("GET", "/bucket?cors").code == "NoSuchCORSConfiguration"


def test_only_the_owner_configures(world: World) -> None:
    other = world.user("other", "admin")
    assert other("GET", "/bucket?cors").code == "AccessDenied"
    assert other("PUT", "/bucket?cors", RULES).code == "AccessDenied"
    assert other("DELETE", "/bucket?cors").code == "AccessDenied"
    assert world.admin("GET", "/bucket?cors").status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<CORSConfiguration/>", "MalformedXML"),
        (b"<CORSConfiguration><Rule/></CORSConfiguration>", "MalformedXML"),
        (rule("<AllowedMethod>GET</AllowedMethod>"), "MalformedXML"),
        (rule("<AllowedOrigin>*</AllowedOrigin>"), "MalformedXML"),
        (rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><Else/>"), "MalformedXML"),
        (
            rule(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>-1</MaxAgeSeconds>"
            ),
            "MalformedXML",
        ),
        (
            rule(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>a&#10;b</ExposeHeader>"
            ),
            "MalformedXML",
        ),
        (rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>"), "InvalidRequest"),
        (rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>get</AllowedMethod>"), "InvalidRequest"),
        (rule("<AllowedOrigin>*a*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"), "InvalidRequest"),
        (
            rule(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>**</AllowedHeader>"
            ),
            "InvalidRequest",
        ),
        (
            rule(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>*</ExposeHeader>"
            ),
            "InvalidRequest",
        ),
        (
            rule(
                "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>" + f"<ID>{'i' * 256}</ID>"
            ),
            "InvalidArgument",
        ),
    ],
)
def test_what_aws_refuses_is_refused(world: World, body: bytes, code: str) -> None:
    assert world.admin("PUT", "/bucket?cors", body).code == code
    assert world.admin("GET", "/bucket?cors").text("ID") == "pages"


def test_a_configuration_has_a_hundred_rules_at_most(world: World) -> None:
    one = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
    body = f"<CORSConfiguration>{one * 100}</CORSConfiguration>".encode()
    assert world.admin("PUT", "/bucket?cors", body).status == 200
    body = f"<CORSConfiguration>{one * 101}</CORSConfiguration>".encode()
    assert world.admin("PUT", "/bucket?cors", body).code == "InvalidRequest"


def test_a_preflight_is_answered_without_a_signature(world: World) -> None:
    status, headers, _ = preflight(
        world,
        origin=PAGE,
        access_control_request_method="PUT",
        access_control_request_headers="x-amz-date, X-Amz-Content-Sha256",
    )
    assert status == 200
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-allow-headers"] == "x-amz-date, x-amz-content-sha256"
    assert headers["access-control-max-age"] == "3000"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["vary"].startswith("Origin")


def test_the_preflight_of_a_presigned_request_is_not_held_to_its_signature(world: World) -> None:
    for path in (world.admin.presign("GET", "/bucket/key"), "/bucket/key?AWSAccessKeyId=a&Signature=b"):
        status, _, _ = preflight(world, path, origin=PAGE, access_control_request_method="GET")
        assert status == 200


def test_a_preflight_that_no_rule_fits_is_forbidden(world: World) -> None:
    refused = [
        {"origin": "https://evil.net", "access_control_request_method": "GET"},
        {"origin": PAGE, "access_control_request_method": "DELETE"},
        {"origin": PAGE, "access_control_request_method": "GET", "access_control_request_headers": "cookie"},
    ]
    for headers in refused:
        status, answered, code = preflight(world, **headers)
        assert (status, code) == (403, "AccessForbidden")
        assert "access-control-allow-origin" not in answered


def test_a_preflight_says_what_it_lacks(world: World) -> None:
    assert preflight(world)[::2] == (400, "BadRequest")
    assert preflight(world, origin=PAGE)[::2] == (400, "BadRequest")
    assert preflight(world, origin=PAGE, access_control_request_method="LINK")[::2] == (400, "BadRequest")
    asked = {"origin": PAGE, "access_control_request_method": "GET"}
    assert preflight(world, "/nowhere/key", **asked)[::2] == (404, "NoSuchBucket")
    assert preflight(world, "/", **asked)[::2] == (403, "AccessForbidden")
    world.admin("DELETE", "/bucket?cors")
    assert preflight(world, **asked)[::2] == (403, "AccessForbidden")


def test_answers_to_pages_say_so_errors_too(world: World) -> None:
    world.admin("PUT", "/bucket/key", b"x")
    for client, path, status in (
        (world.admin, "/bucket/key", 200),
        (world.admin, "/bucket/none", 404),
        (world.anonymous, "/bucket/key", 403),
    ):
        answer = client("GET", path, headers={"Origin": PAGE})
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-expose-headers"] == "ETag"
        assert answer.headers["vary"].startswith("Origin")


def test_a_page_learns_that_its_signature_does_not_hold(world: World) -> None:
    path = world.admin.presign("GET", "/bucket/key")
    answer = world.anonymous.send("GET", path[:-1] + "z", b"", {"host": "s3.example.org", "origin": PAGE})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, PAGE)


def test_answers_to_other_pages_only_vary(world: World) -> None:
    answer = world.admin("GET", "/bucket", headers={"Origin": "https://evil.net"})
    assert (answer.status, answer.headers["vary"].partition(",")[0]) == (200, "Origin")
    assert "access-control-allow-origin" not in answer.headers
    world.admin("PUT", "/other")
    for path in ("/other", "/nowhere", "/"):
        assert "vary" not in world.admin("GET", path, headers={"Origin": PAGE}).headers


def test_answers_to_programs_bear_nothing_of_it(world: World) -> None:
    assert not [name for name in world.admin("GET", "/bucket").headers if name.startswith("access-control")]


def test_rules_survive_their_register_and_rot_is_noticed() -> None:
    rules = cors.from_xml(RULES)
    assert cors.unpack(cors.pack(rules)) == rules
    assert cors.pack(()) == b""
    assert cors.unpack(b"") == ()
    for rotten in (b"\xc1", b"\x92\x02\x90", b"\x92\x01\x91\x91\x01"):
        with pytest.raises(CorruptRecord):
            cors.unpack(rotten)
