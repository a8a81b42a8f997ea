"""python-swiftclient stores, reads, lists, copies and deletes in a running colony."""

import hashlib
import uuid
from collections.abc import Iterator

import pytest
import swiftclient
from swiftclient.exceptions import ClientException

from tests.support.colony import Colony

BODY = b"0123456789" * 1000


@pytest.fixture
def swift(colony: Colony) -> Iterator[swiftclient.Connection]:
    """A connection of the first administrator."""
    connection = swiftclient.Connection(
        colony.swift_auth, colony.swift_user, colony.swift_key, retries=0, auth_version="1"
    )
    yield connection
    connection.close()


@pytest.fixture
def container(swift: swiftclient.Connection) -> str:
    """A container of the test's own."""
    name = f"c-{uuid.uuid4().hex}"
    swift.put_container(name)
    return name


def _status(refused: pytest.ExceptionInfo[ClientException]) -> int:
    return int(refused.value.http_status)


def test_an_object_comes_back_as_it_was_put(swift: swiftclient.Connection, container: str) -> None:
    headers = {"X-Object-Meta-Color": "grün", "Content-Encoding": "identity"}
    etag = swift.put_object(container, "a/ö b", BODY, content_type="text/x", headers=headers)
    assert etag == hashlib.md5(BODY).hexdigest()
    found, body = swift.get_object(container, "a/ö b")
    assert body == BODY
    assert (found["content-type"], found["x-object-meta-color"]) == ("text/x", "grün")
    assert swift.head_object(container, "a/ö b")["content-length"] == str(len(BODY))


def test_a_chunked_body_of_unknown_length(swift: swiftclient.Connection, container: str) -> None:
    etag = swift.put_object(container, "o", iter([BODY] * 300), chunk_size=None)
    assert etag == hashlib.md5(BODY * 300).hexdigest()
    assert swift.get_object(container, "o")[1] == BODY * 300


def test_a_write_is_read_and_listed_at_once(swift: swiftclient.Connection, container: str) -> None:
    for number in range(20):
        swift.put_object(container, f"o{number:02}", b"%d" % number)
        assert swift.get_object(container, f"o{number:02}")[1] == b"%d" % number
        assert len(swift.get_container(container)[1]) == number + 1
    swift.delete_object(container, "o00")
    assert [row["name"] for row in swift.get_container(container)[1]] == [f"o{n:02}" for n in range(1, 20)]
    headers, _ = swift.get_container(container)
    assert headers["x-container-object-count"] == "19"


def test_listings_are_marked_delimited_and_complete(swift: swiftclient.Connection, container: str) -> None:
    names = [f"{folder}/{n}" for folder in "abc" for n in range(4)]
    for name in names:
        swift.put_object(container, name, b"")
    assert [row["name"] for row in swift.get_container(container, limit=5, full_listing=True)[1]] == names
    rows = swift.get_container(container, delimiter="/")[1]
    assert [row["subdir"] for row in rows] == ["a/", "b/", "c/"]
    rows = swift.get_container(container, prefix="b/", marker="b/1")[1]
    assert [row["name"] for row in rows] == ["b/2", "b/3"]
    rows = swift.get_container(container, query_string="reverse=true&limit=2")[1]
    assert [row["name"] for row in rows] == ["c/3", "c/2"]


def test_ranges_and_conditions(swift: swiftclient.Connection, container: str) -> None:
    etag = swift.put_object(container, "o", BODY)
    assert swift.get_object(container, "o", headers={"Range": "bytes=5-9"})[1] == b"56789"
    assert swift.get_object(container, "o", headers={"Range": "bytes=-3"})[1] == b"789"
    for headers, status in (
        ({"Range": "bytes=10000-"}, 416),
        ({"If-None-Match": etag}, 304),
        ({"If-Match": '"other"'}, 412),
    ):
        with pytest.raises(ClientException) as refused:
            swift.get_object(container, "o", headers=headers)
        assert _status(refused) == status
    with pytest.raises(ClientException) as refused:
        swift.put_object(container, "o", b"x", headers={"If-None-Match": "*"})
    assert _status(refused) == 412


def test_metadata_of_objects_containers_and_the_account(
    swift: swiftclient.Connection, container: str
) -> None:
    swift.put_object(container, "o", b"x", headers={"X-Object-Meta-A": "1"})
    swift.post_object(container, "o", {"X-Object-Meta-B": "2"})
    found = swift.head_object(container, "o")
    assert "x-object-meta-a" not in found
    assert found["x-object-meta-b"] == "2"
    swift.post_container(container, {"X-Container-Meta-A": "1"})
    swift.post_container(container, {"X-Container-Meta-B": "2"})
    found = swift.head_container(container)
    assert (found["x-container-meta-a"], found["x-container-meta-b"]) == ("1", "2")
    name = f"t{uuid.uuid4().hex[:8]}"
    swift.post_account({f"X-Account-Meta-{name}": "1"})
    assert swift.head_account()[f"x-account-meta-{name}"] == "1"
    swift.post_account({f"X-Remove-Account-Meta-{name}": "x"})
    assert f"x-account-meta-{name}" not in swift.head_account()


def test_a_copy_is_an_object_of_its_own(swift: swiftclient.Connection, container: str) -> None:
    swift.put_object(container, "o", BODY, headers={"X-Object-Meta-A": "1"})
    swift.copy_object(container, "o", f"/{container}/p", headers={"X-Object-Meta-B": "2"})
    swift.delete_object(container, "o")
    found, body = swift.get_object(container, "p")
    assert body == BODY
    assert (found["x-object-meta-a"], found["x-object-meta-b"]) == ("1", "2")


def test_a_container_with_objects_is_kept(swift: swiftclient.Connection, container: str) -> None:
    swift.put_object(container, "o", b"x")
    with pytest.raises(ClientException) as refused:
        swift.delete_container(container)
    assert _status(refused) == 409
    swift.delete_object(container, "o")
    swift.delete_container(container)
    with pytest.raises(ClientException) as refused:
        swift.head_container(container)
    assert _status(refused) == 404
    with pytest.raises(ClientException) as refused:
        swift.put_object(container, "o", b"x")
    assert _status(refused) == 404


def test_wrong_bytes_are_not_stored(swift: swiftclient.Connection, container: str) -> None:
    with pytest.raises(ClientException) as refused:
        swift.put_object(container, "o", BODY, etag="0" * 32)
    assert _status(refused) == 422
    with pytest.raises(ClientException) as refused:
        swift.head_object(container, "o")
    assert _status(refused) == 404


def test_the_colony_says_what_it_can_do(swift: swiftclient.Connection) -> None:
    features = swift.get_capabilities()
    assert features["swift"]["container_listing_limit"] == 10_000
    assert {"swift", "tempauth", "slo", "dlo"} <= set(features)
    assert "tempurl" not in features
