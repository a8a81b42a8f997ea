"""What a colony tells its clients: endpoints, keys, and commands that work as pasted."""

import shlex

from colonnade.endpoints import Credentials, banner, commands_to_paste, environment_lines

CREDENTIALS = Credentials("KEYID", "se'cret", "admin:admin", "sw$ift")
ENDPOINTS = {
    "s3": "http://127.0.0.1:8080",
    "swift": "http://127.0.0.1:8080/auth/v1.0",
    "data": "/srv/my colony",
    "join": "tcp:127.0.0.1:7000",
    **CREDENTIALS.plain(),
}


def test_the_first_start_shows_the_secrets_and_three_commands() -> None:
    text = banner(ENDPOINTS, first_start=True, command="colonnade")
    assert CREDENTIALS.secret_key in text
    assert [line.split()[0] for line in commands_to_paste(ENDPOINTS, CREDENTIALS)] == [
        "AWS_ACCESS_KEY_ID=KEYID",
        "swift",
        "rclone",
    ]


def test_later_starts_show_no_secret_but_how_to_get_them() -> None:
    text = banner(ENDPOINTS, first_start=False, command="colonnade")
    assert CREDENTIALS.secret_key not in text
    assert CREDENTIALS.swift_key not in text
    assert "eval \"$(colonnade env --data '/srv/my colony')\"" in text
    for word in (ENDPOINTS["s3"], ENDPOINTS["swift"], "tcp:127.0.0.1:7000"):
        assert word in text


def test_commands_survive_any_character_in_a_secret() -> None:
    aws, swift, _ = commands_to_paste(ENDPOINTS, CREDENTIALS)
    assert "AWS_SECRET_ACCESS_KEY=se'cret" in shlex.split(aws)
    assert "sw$ift" in shlex.split(swift)
    lines = dict(shlex.split(line)[1].split("=", 1) for line in environment_lines(ENDPOINTS))
    assert lines["AWS_SECRET_ACCESS_KEY"] == "se'cret"
    assert lines["ST_KEY"] == "sw$ift"
    assert lines["RCLONE_CONFIG_COLONNADE_ENDPOINT"] == "http://127.0.0.1:8080"


def test_a_node_that_does_not_know_the_keys_still_tells_its_endpoints() -> None:
    known = {name: ENDPOINTS[name] for name in ("s3", "swift", "data")}
    text = banner(known, first_start=True, command="colonnade")
    assert "http://127.0.0.1:8080" in text
    assert "access key" not in text
