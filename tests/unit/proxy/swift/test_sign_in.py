"""TempAuth gives tokens for passwords, and tokens open what their user owns."""

import pytest

from proxy.identity.users import ADMIN
from tests.unit.proxy.swift.client import TEST, SwiftBench


@pytest.fixture
def swift(swift: SwiftBench) -> SwiftBench:
    """The bench, with a password for the administrator and a token made after it was set."""
    swift.run(swift.directory.set_password("test:tester", "secret"))
    fields = {"x-auth-user": "test:tester", "x-auth-key": "secret"}
    swift.tokens["test:tester"] = swift.call("GET", "/auth/v1.0", fields, user="").headers["x-auth-token"]
    return swift


def _auth(swift: SwiftBench, path: str = "/auth/v1.0", **headers: str) -> tuple[int, dict[str, str]]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = swift.call("GET", path, fields, user="")
    return answer.status, answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/auth/v1.0", {"x_auth_user": "test:tester", "x_auth_key": "secret"}),
        ("/auth/v1.0", {"x_storage_user": "test:tester", "x_storage_pass": "secret"}),
        ("/auth/v1.0/", {"x_auth_user": "test:tester", "x_auth_key": "secret"}),
        ("/auth/v1/test/auth", {"x_storage_user": "tester", "x_storage_pass": "secret"}),
        ("/auth/v1/test/auth", {"x_auth_user": "test:tester", "x_auth_key": "secret"}),
    ],
)
def test_a_password_gives_a_token_and_the_accounts_url(
    swift: SwiftBench, path: str, headers: dict[str, str]
) -> None:
    status, answer = _auth(swift, path, **headers)
    assert status == 200
    assert answer["x-auth-token"] == answer["x-storage-token"]
    assert answer["x-auth-token"].startswith("AUTH_tk")
    assert answer["x-storage-url"] == "http://localhost:8080/v1/AUTH_test"
    assert int(answer["x-auth-token-expires"]) > 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_auth_user": "test:tester"},
        {"x_auth_user": "test:tester", "x_auth_key": "wrong"},
        {"x_auth_user": "test:nobody", "x_auth_key": "secret"},
        {"x_auth_user": "tester", "x_auth_key": "secret"},
    ],
)
def test_wrong_or_missing_credentials_are_refused(swift: SwiftBench, headers: dict[str, str]) -> None:
    status, answer = _auth(swift, **headers)
    assert status == 401
    assert answer["www-authenticate"].startswith("Swift realm=")


def test_a_user_of_another_account_cannot_sign_in_here(swift: SwiftBench) -> None:
    status, _ = _auth(swift, "/auth/v1/test2/auth", x_auth_user="test:tester", x_auth_key="secret")
    assert status == 401


def test_a_token_ends_when_its_time_is_over(swift: SwiftBench) -> None:
    assert swift.call("HEAD", TEST).status == 204
    swift.fake.now_ms += 86_401_000
    answer = swift.call("HEAD", TEST)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Swift realm="unknown"'


def test_a_forged_token_is_refused_even_where_anybody_may_read(swift: SwiftBench) -> None:
    swift.call("PUT", f"{TEST}/c", {"x-container-read": ".r:*"})
    swift.call("PUT", f"{TEST}/c/o", body=b"x")
    assert swift.call("GET", f"{TEST}/c/o", user="").status == 200
    swift.tokens["forged"] = swift.tokens["test:tester"][:-2] + "AA"
    assert swift.call("GET", f"{TEST}/c/o", user="forged").status == 401


def test_a_token_of_another_system_makes_a_stranger(swift: SwiftBench) -> None:
    swift.call("PUT", f"{TEST}/c", {"x-container-read": ".r:*"})
    swift.call("PUT", f"{TEST}/c/o", body=b"x")
    swift.tokens["foreign"] = "gAAAAABfernet"
    assert swift.call("GET", f"{TEST}/c/o", user="foreign").status == 200
    assert swift.call("GET", f"{TEST}/c", user="foreign").status == 401


def test_a_new_password_ends_the_tokens_given_before(swift: SwiftBench) -> None:
    swift.run(swift.directory.set_password("test:tester", "other"))
    assert swift.call("HEAD", TEST).status == 401
    assert _auth(swift, x_auth_user="test:tester", x_auth_key="secret")[0] == 401
    assert _auth(swift, x_auth_user="test:tester", x_auth_key="other")[0] == 200


def test_a_token_newer_than_what_a_worker_remembers_is_good_at_once(swift: SwiftBench) -> None:
    other = SwiftBench(fake=swift.fake, tokens=swift.tokens)
    try:
        assert other.call("HEAD", TEST).status == 204
        swift.run(swift.directory.set_password("test:tester", "other"))
        fields = {"x-auth-user": "test:tester", "x-auth-key": "other"}
        token = swift.call("GET", "/auth/v1.0", fields, user="").headers["x-auth-token"]
        swift.tokens["test:tester"] = token
        assert other.call("HEAD", TEST).status == 204
    finally:
        other.close()


def test_a_removed_users_token_ends_and_stays_ended_when_the_name_is_used_again(swift: SwiftBench) -> None:
    swift.run(swift.directory.remove_user("test:tester"))
    assert swift.call("HEAD", TEST).status == 401
    swift.run(swift.directory.add_user("test:tester", "secret", roles=(ADMIN,)))
    assert swift.call("HEAD", TEST).status == 401


def test_a_disabled_user_is_shut_out(swift: SwiftBench) -> None:
    swift.run(swift.directory.disable_user("test:tester"))
    assert swift.call("HEAD", TEST).status == 401
    assert _auth(swift, x_auth_user="test:tester", x_auth_key="secret")[0] == 401


def test_unknown_ways_to_sign_in_are_bad_requests(swift: SwiftBench) -> None:
    assert _auth(swift, "/auth/v3/tokens")[0] == 400
