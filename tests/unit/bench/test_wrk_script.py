"""Claims about wrk: what it is told, and how its word is taken."""

import json
from dataclasses import replace

import pytest

from bench.plan import Endpoint, Plan, Repeat, Request, SwiftToken
from bench.report import Latency
from bench.workload import Operation
from bench.wrk_script import (
    UnreadableOutput,
    costs_least,
    parse_output,
    render_requests,
    render_script,
    suits,
)

ENDPOINT = Endpoint("http", "127.0.0.1", 8080, "/v1/a", SwiftToken('to"ken'))
GETS = Plan(
    ENDPOINT, (Request(Operation.GET, "/v1/a/c/o", 100), Request(Operation.GET, "/v1/a/c/p", 50)), (), b""
)
PUTS = Plan(ENDPOINT, (Request(Operation.PUT, "/v1/a/c/o"),), (("X-Auth-Token", 'to"ken'),), b"x" * 100)
LISTS = Plan(ENDPOINT, (Request(Operation.LIST, "/v1/a/c?format=json"),), (), b"")
NO_ERRORS = {
    "cannot connect": 0,
    "read failed": 0,
    "write failed": 0,
    "answered 400 or above": 0,
    "timed out": 0,
}


def output(*, requests: int = 10, received_bytes: int = 5000, errors: dict[str, int] | None = None) -> str:
    found = {"requests": requests, "duration_us": 2_000_000, "received_bytes": received_bytes}
    found |= {"p50_us": 1500, "p90_us": 2000, "p99_us": 3000, "max_us": 4000}
    line = json.dumps(found | {"errors": NO_ERRORS | (errors or {})})
    return f"Running 2s test @ http://127.0.0.1:8080/\n  10 requests in 2.00s\n\nBENCH-RESULT {line}\n"


def test_the_result_line_becomes_a_load() -> None:
    load = parse_output(output(), GETS)
    assert (load.requests, load.elapsed_s, load.body_bytes) == (10, 2.0, 750)
    assert load.latency == Latency(1.5, 2.0, 3.0, 4.0)
    assert load.errors == {}


def test_what_a_put_sent_counts_as_its_bytes() -> None:
    assert parse_output(output(), PUTS).body_bytes == 1000


def test_a_listing_counts_what_came() -> None:
    assert parse_output(output(), LISTS).body_bytes == 5000


def test_answers_of_400_and_above_are_errors_and_no_requests() -> None:
    load = parse_output(output(errors={"answered 400 or above": 4, "timed out": 1}), PUTS)
    assert load.requests == 6
    assert load.errors == {"answered 400 or above": 4, "timed out": 1}


def test_too_few_bytes_for_the_bodies_is_an_error() -> None:
    assert parse_output(output(received_bytes=749), GETS).errors == {"bodies shorter than they should be": 1}


@pytest.mark.parametrize("text", ["", "unable to connect", "BENCH-RESULT {", "BENCH-RESULT {}"])
def test_output_without_a_result_is_refused(text: str) -> None:
    with pytest.raises(UnreadableOutput):
        parse_output(text, GETS)


def test_the_script_holds_the_heads_as_lua_strings() -> None:
    script = render_script(PUTS, requests_path="/somewhere/requests", body_path="/some\\where")
    assert 'PUT = "Host: 127.0.0.1:8080\\r\\nX-Auth-Token: to\\"ken\\r\\nContent-Length: 100\\r\\n' in script
    assert 'io.lines("/somewhere/requests")' in script
    assert 'io.open("/some\\\\where", "rb")' in script


def test_a_listing_is_sent_as_get() -> None:
    assert render_requests(LISTS) == "LIST GET /v1/a/c?format=json\n"


def test_head_and_plans_to_be_sent_once_are_not_for_wrk() -> None:
    assert suits(GETS)
    assert not suits(Plan(ENDPOINT, (Request(Operation.HEAD, "/v1/a/c/o", 0),), (), b""))
    assert not suits(Plan(ENDPOINT, GETS.requests, (), b"", Repeat.ONCE))
    assert not suits(Plan(ENDPOINT, (), (), b""))


def test_large_bodies_are_sent_by_the_client_that_copies_them_less() -> None:
    assert costs_least(GETS)
    assert costs_least(PUTS)
    assert not costs_least(replace(PUTS, body=bytes(2**20)))
    assert suits(replace(PUTS, body=bytes(2**20)))
