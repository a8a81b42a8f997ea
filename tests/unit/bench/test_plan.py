"""Claims about plans: which requests a workload becomes."""

from dataclasses import replace

import pytest

from bench.plan import (
    Endpoint,
    Repeat,
    SwiftToken,
    Targets,
    container_for,
    object_name,
    plan_run,
    plan_seed,
    sample,
)
from bench.sigv4 import S3Keys
from bench.workload import Api, Operation, Workload

SWIFT = Endpoint("http", "127.0.0.1", 8080, "/v1/AUTH_test", SwiftToken("token"))
S3 = Endpoint("http", "127.0.0.1", 8080, "", S3Keys("access", "secret"))
BODY = bytes(100)


def workload(*operations: Operation, api: Api = Api.SWIFT) -> Workload:
    mix = tuple((operation, 1) for operation in operations)
    return Workload("w", "W", api, mix, size_bytes=100, objects=25, listing_limit=10, duration_s=1.0)


def test_reads_visit_every_object_once_in_a_cycle_and_out_of_order() -> None:
    plan = plan_run(workload(Operation.GET), SWIFT, body=BODY, now_ms=0)
    targets = [request.target for request in plan.requests]
    prefix = "/v1/AUTH_test/bench-swift-100-read/"
    assert sorted(targets) == [prefix + object_name(index) for index in range(25)]
    assert targets != sorted(targets)
    assert plan.repeat is Repeat.CYCLE
    assert {request.response_bytes for request in plan.requests} == {100}


def test_listings_ask_for_whole_pages_by_their_markers() -> None:
    plan = plan_run(workload(Operation.LIST), SWIFT, body=BODY, now_ms=0)
    base = "/v1/AUTH_test/bench-swift-100-read?format=json&limit=10"
    assert {request.target for request in plan.requests} == {base, f"{base}&marker={object_name(9)}"}


def test_s3_targets_are_presigned_and_need_no_token() -> None:
    plan = plan_run(workload(Operation.LIST, api=Api.S3), S3, body=BODY, now_ms=0)
    assert plan.headers == ()
    assert all("list-type=2&max-keys=10" in request.target for request in plan.requests)
    assert all("X-Amz-Signature=" in request.target for request in plan.requests)


def test_writes_never_meet_the_names_of_another_run() -> None:
    first, second = (
        {
            request.target
            for request in plan_run(workload(Operation.PUT), SWIFT, body=BODY, now_ms=0, salt=salt).requests
        }
        for salt in ("a", "b")
    )
    assert first
    assert not first & second


def test_each_doomed_object_is_deleted_only_once() -> None:
    plan = plan_run(workload(Operation.DELETE, Operation.GET), SWIFT, body=BODY, now_ms=0, doomed=7)
    deletes = [request.target for request in plan.requests if request.operation is Operation.DELETE]
    assert len(deletes) == len(set(deletes)) == 7
    assert len(plan.requests) == 14
    assert plan.repeat is Repeat.ONCE


def test_with_nothing_to_delete_there_is_nothing_to_send() -> None:
    assert plan_run(workload(Operation.DELETE), SWIFT, body=BODY, now_ms=0).requests == ()


def test_a_counted_run_sends_exactly_so_many() -> None:
    plan = plan_run(replace(workload(Operation.GET), count_max=60), SWIFT, body=BODY, now_ms=0)
    assert len(plan.requests) == 60
    assert plan.repeat is Repeat.ONCE


@pytest.mark.parametrize("operation", list(Operation))
def test_only_put_announces_a_body(operation: Operation) -> None:
    plan = plan_seed(SWIFT, body=BODY, now_ms=0, container="c", count=1)
    block = plan.header_block(operation)
    assert block.startswith(b"Host: 127.0.0.1:8080\r\nX-Auth-Token: token\r\n")
    assert block.endswith(b"\r\n\r\n")
    assert (b"Content-Length: 100\r\n" in block) == (operation is Operation.PUT)


def test_seeding_makes_the_objects_that_reads_ask_for() -> None:
    seeded = plan_seed(SWIFT, body=BODY, now_ms=0, container=container_for(workload(Operation.GET)), count=25)
    read = plan_run(workload(Operation.GET), SWIFT, body=BODY, now_ms=0)
    assert {request.target for request in seeded.requests} == {request.target for request in read.requests}


def test_a_sample_holds_each_operation() -> None:
    plan = plan_run(workload(Operation.GET, Operation.PUT, Operation.LIST), SWIFT, body=BODY, now_ms=0)
    chosen = [request.operation for request in sample(plan)]
    assert sorted(operation.value for operation in chosen) == ["get", "get", "list", "list", "put", "put"]


def test_a_container_is_addressed_without_an_object() -> None:
    assert Targets(SWIFT, now_ms=0).container("PUT", "c") == "/v1/AUTH_test/c"
