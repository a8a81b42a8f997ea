"""No operation without authorization: each names its actions, and refuses whoever has none of them."""

from urllib.parse import quote

import pytest

from proxy.auth.policy_actions import KNOWN
from proxy.s3.actions import ACTIONS, ALONG, OPEN, Scope
from proxy.s3.handlers import NEVER_CONFIGURED, SERVED
from proxy.s3.router import DEFAULTS, SELECTED, Level, Operation
from tests.unit.proxy.s3.client import Answer, Client, World

_HARMLESS = {Operation.LIST_BUCKETS, Operation.CREATE_BUCKET}
"""These are about the asker's own account, not about somebody's bucket."""
_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nbody\r\n--x--\r\n'
)
_DELETE = b"<Delete><Object><Key>k</Key></Object></Delete>"
_BODIES = {Operation.DELETE_OBJECTS: _DELETE, Operation.POST_OBJECT: _FORM}


def places() -> dict[Operation, tuple[str, Level, str]]:
    """Where each operation is asked for: method, level, query."""
    found = {operation: (method, level, "") for (method, level), operation in DEFAULTS.items()}
    for (method, level), selected in SELECTED.items():
        for name, operation in selected.items():
            found.setdefault(operation, (method, level, name))
    found[Operation.LIST_OBJECTS_V2] = ("GET", Level.BUCKET, "list-type=2")
    for operation in Operation:
        if operation.startswith("ListBucket") and operation.endswith("Configurations"):
            names = {"Analytics": "analytics", "Inventory": "inventory", "Metrics": "metrics"}
            kind = operation.removeprefix("ListBucket").removesuffix("Configurations")
            found[operation] = ("GET", Level.BUCKET, names.get(kind, "intelligent-tiering"))
        elif operation.startswith("GetBucket") and f"List{operation[3:]}s" in list(Operation):
            method, level, query = found[operation]
            found[operation] = (method, level, f"{query}&id=x")
    found[Operation.UPLOAD_PART] = ("PUT", Level.OBJECT, "partNumber=1&uploadId=u")
    found[Operation.COPY_OBJECT] = ("PUT", Level.OBJECT, "")
    found[Operation.UPLOAD_PART_COPY] = ("PUT", Level.OBJECT, "partNumber=1&uploadId=u")
    found[Operation.LIST_PARTS] = ("GET", Level.OBJECT, "uploadId=u")
    return found


def ask(client: Client, operation: Operation) -> Answer:
    method, level, query = places()[operation]
    path = "/bucket/k" if level is Level.OBJECT else "/bucket"
    headers = {}
    if operation in (Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY):
        headers["x-amz-copy-source"] = quote("/bucket/k")
    if operation is Operation.POST_OBJECT:
        headers["content-type"] = "multipart/form-data; boundary=x"
    if operation is Operation.GET_OBJECT_ATTRIBUTES:
        headers["x-amz-object-attributes"] = "ETag"
    return client(method, f"{path}?{query}" if query else path, _BODIES.get(operation, b""), headers)


def test_every_operation_that_does_anything_names_its_actions() -> None:
    for operation in {*SERVED, *NEVER_CONFIGURED} - OPEN:
        assert ACTIONS[operation], operation
    for action in [action for actions in ACTIONS.values() for action in actions] + list(ALONG.values()):
        assert action.name in KNOWN
        assert action.versioned == "" or action.versioned in KNOWN or action.versioned == action.name


def test_actions_are_about_what_their_operations_address() -> None:
    levels = {Level.SERVICE: Scope.ACCOUNT, Level.BUCKET: Scope.BUCKET, Level.OBJECT: Scope.OBJECT}
    about_keys = {Operation.POST_OBJECT, Operation.DELETE_OBJECTS}
    for operation, actions in ACTIONS.items():
        scopes = {action.scope for action in actions}
        if operation in about_keys:
            assert scopes == {Scope.OBJECT}
        elif operation is not Operation.CREATE_BUCKET:
            assert scopes == {levels[places()[operation][1]]}, operation


@pytest.mark.parametrize("operation", sorted({*SERVED, *NEVER_CONFIGURED} - OPEN - _HARMLESS))
def test_a_private_bucket_refuses_every_operation_of_strangers(operation: Operation) -> None:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"hello")
    before = dict(world.colony.containers), {path: dict(held) for path, held in world.colony.objects.items()}
    strangers = [world.anonymous, world.user("acme", "member", "member"), world.user("other", "admin")]
    if operation is Operation.POST_OBJECT:
        # A form bears a signature of its own.
        strangers = [world.anonymous]
    for stranger in strangers:
        refused = ask(stranger, operation)
        assert refused.status == 403, (operation, refused.body)
    after = dict(world.colony.containers), {path: dict(held) for path, held in world.colony.objects.items()}
    assert after == before


@pytest.mark.parametrize("operation", sorted({*SERVED, *NEVER_CONFIGURED} - OPEN - _HARMLESS))
def test_a_denial_of_every_action_stops_an_administrator_everywhere_but_at_the_policy(
    operation: Operation,
) -> None:
    world = World()
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/k", b"hello")
    policy = (
        b'{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*",'
        b' "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}}'
    )
    assert world.admin("PUT", "/bucket?policy", policy).status == 204
    if operation is Operation.POST_OBJECT:
        assert ask(world.anonymous, operation).status == 403
        return
    answer = ask(world.admin, operation)
    if operation in (
        Operation.GET_BUCKET_POLICY,
        Operation.PUT_BUCKET_POLICY,
        Operation.DELETE_BUCKET_POLICY,
    ):
        assert answer.status in (200, 204, 400)
    elif operation is Operation.DELETE_OBJECTS:
        assert answer.text("Code") == "AccessDenied"
    else:
        assert answer.status == 403, (operation, answer.body)
