"""The route table, held against the service model that AWS's own SDK carries."""

from typing import Any
from urllib.parse import parse_qsl

import botocore.session
import pytest

from proxy.http.messages import Headers
from proxy.s3.handlers import NEVER_CONFIGURED, SERVED, VERBS
from proxy.s3.router import DEFAULTS, SELECTED, Level, Operation, methods, route

MODEL = botocore.session.get_session().get_service_model("s3")

# Older names that share the request of a newer operation, or operations of another endpoint.
SHARED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}
ELSEWHERE = {"WriteGetObjectResponse"}
OURS = {Operation.POST_OBJECT, Operation.PREFLIGHT}
NO_HEADERS = Headers()

# What distinguishes operations beyond method and fixed query, as SDKs send it.
EXTRA: dict[str, dict[str, str]] = {
    "AbortMultipartUpload": {"uploadId": "u"},
    "CompleteMultipartUpload": {"uploadId": "u"},
    "ListParts": {"uploadId": "u"},
    "UploadPart": {"partNumber": "1", "uploadId": "u"},
    "UploadPartCopy": {"partNumber": "1", "uploadId": "u"},
    "GetObjectAnnotation": {"annotationName": "a"},
    **{
        f"GetBucket{kind}Configuration": {"id": "x"}
        for kind in ("Analytics", "IntelligentTiering", "Inventory", "Metrics")
    },
}
COPIES = {"CopyObject", "UploadPartCopy"}


def place_of(name: str) -> tuple[str, Level, dict[str, str]]:
    http: dict[str, Any] = MODEL.operation_model(name).http
    path, _, query = http["requestUri"].partition("?")
    level = Level.OBJECT if "{Key" in path else Level.BUCKET if "{Bucket}" in path else Level.SERVICE
    return http["method"], level, {**dict(parse_qsl(query, keep_blank_values=True)), **EXTRA.get(name, {})}


@pytest.mark.parametrize("name", sorted(set(MODEL.operation_names) - ELSEWHERE))
def test_each_operation_of_aws_is_routed_by_its_own_request(name: str) -> None:
    method, level, query = place_of(name)
    headers = Headers([("x-amz-copy-source", "a/b")]) if name in COPIES else NO_HEADERS
    assert route(method, level, query, headers) == SHARED.get(name, name)


def test_the_table_names_the_operations_of_aws_and_no_others() -> None:
    assert {str(operation) for operation in Operation} - {str(ours) for ours in OURS} == (
        set(MODEL.operation_names) - set(SHARED)
    ) | {"ListDirectoryBuckets"}


def test_each_operation_can_be_reached_and_has_a_verb() -> None:
    reached = {*DEFAULTS.values(), *(one for table in SELECTED.values() for one in table.values())}
    assert reached <= set(VERBS)
    assert set(VERBS) == set(Operation)
    assert not set(SERVED) & NEVER_CONFIGURED


def test_parameters_that_select_nothing_are_passed_over() -> None:
    query = {"X-Amz-Signature": "0", "x-id": "GetObject", "response-expires": "0"}
    assert route("GET", Level.OBJECT, query, NO_HEADERS) is Operation.GET_OBJECT
    assert route("GET", Level.BUCKET, {"prefix": "a", "list-type": "2"}, NO_HEADERS) == "ListObjectsV2"
    assert route("GET", Level.BUCKET, {"list-type": "1"}, NO_HEADERS) == "ListObjects"


def test_a_method_without_an_operation_is_none() -> None:
    assert route("PATCH", Level.OBJECT, {}, NO_HEADERS) is None
    assert route("POST", Level.OBJECT, {}, NO_HEADERS) is None
    assert route("DELETE", Level.SERVICE, {}, NO_HEADERS) is None
    assert list(methods(Level.SERVICE)) == ["GET", "OPTIONS"]
