"""Who may do what through Swift: users added by command, ACLs, and what ends at once."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import swiftclient
from swiftclient.exceptions import ClientException

from tests.support.colony import Colony

GIVE_UP_S = 10.0
Connect = Callable[..., swiftclient.Connection]


@pytest.fixture
def connect(colony: Colony) -> Iterator[Connect]:
    """Adds a user by command and connects as it."""
    connections = []

    def connected(*options: str, account: str = "") -> swiftclient.Connection:
        user_id = f"{account or uuid.uuid4().hex[:12]}:{uuid.uuid4().hex[:8]}"
        made = json.loads(colony.command("user", "add", user_id, "--json", *options).stdout)
        connection = swiftclient.Connection(
            colony.swift_auth, user_id, made["password"], retries=0, auth_version="1"
        )
        connections.append(connection)
        return connection

    yield connected
    for connection in connections:
        connection.close()


def _refused(status: int, act: Callable[..., object], *arguments: object, **named: object) -> None:
    with pytest.raises(ClientException) as refused:
        act(*arguments, **named)
    assert refused.value.http_status == status


def test_wrong_and_missing_credentials_are_401(colony: Colony) -> None:
    for user, key in ((colony.swift_user, "wrong"), ("nobody:nobody", "x"), ("", "")):
        with pytest.raises(ClientException) as refused:
            swiftclient.get_auth(colony.swift_auth, user, key, auth_version="1")
        assert refused.value.http_status in (None, 401)


def test_accounts_are_closed_to_one_another(connect: Connect) -> None:
    one, other = connect("--admin"), connect("--admin")
    url, _ = one.get_auth()
    _, token = other.get_auth()
    _refused(403, swiftclient.head_account, url, token)
    _refused(401, swiftclient.head_account, url, "")


def test_acls_open_a_container_and_close_it_again(connect: Connect) -> None:
    owner, friend = connect("--admin"), connect("--admin")
    owner.put_container("c")
    owner.put_object("c", "o", b"shared")
    url, _ = owner.get_auth()
    _, token = friend.get_auth()
    _refused(403, swiftclient.get_object, url, token, "c", "o")
    owner.post_container("c", {"X-Container-Read": friend.user, "X-Container-Write": friend.user})
    _eventually(lambda: swiftclient.get_object(url, token, "c", "o")[1] == b"shared")
    swiftclient.put_object(url, token, "c", "p", b"theirs")
    assert owner.get_object("c", "p")[1] == b"theirs"
    _refused(403, swiftclient.delete_container, url, token, "c")
    owner.post_container("c", {"X-Container-Read": "", "X-Container-Write": ""})
    _eventually(lambda: _status(swiftclient.get_object, url, token, "c", "o") == 403)


def test_anybody_reads_what_a_referrer_acl_opens(connect: Connect) -> None:
    owner = connect("--admin")
    owner.put_container("c", {"X-Container-Read": ".r:*"})
    owner.put_object("c", "o", b"public")
    url, _ = owner.get_auth()
    assert swiftclient.get_object(url, "", "c", "o")[1] == b"public"
    _refused(401, swiftclient.get_container, url, "", "c")


def test_a_removed_user_is_out_within_seconds(colony: Colony, connect: Connect) -> None:
    user = connect("--admin")
    user.put_container("c")
    url, token = user.get_auth()
    colony.command("user", "remove", user.user)
    _eventually(lambda: _status(swiftclient.head_account, url, token) == 401)
    # Another worker may answer this, which learns of it by itself.
    _eventually(lambda: _status(_sign_in, colony, user) == 401)


def test_a_new_password_ends_the_old_one(colony: Colony, connect: Connect) -> None:
    user = connect("--admin")
    url, token = user.get_auth()
    swiftclient.head_account(url, token)
    colony.command("user", "passwd", user.user, "--password", "another")
    _eventually(lambda: _status(swiftclient.head_account, url, token) == 401)
    assert swiftclient.get_auth(colony.swift_auth, user.user, "another", auth_version="1")[0] == url


def _sign_in(colony: Colony, user: Any) -> None:
    swiftclient.get_auth(colony.swift_auth, user.user, user.key, auth_version="1")


def _status(act: Callable[..., object], *arguments: object) -> int:
    try:
        act(*arguments)
    except ClientException as refused:
        return int(refused.http_status)
    return 200


def _eventually(holds: Callable[[], bool]) -> None:
    """Wait until a change that every worker must learn of is felt."""
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        try:
            if holds():
                return
        except ClientException:
            if time.monotonic() > give_up:
                raise
        assert time.monotonic() < give_up, "the change was never felt"
        time.sleep(0.05)
