"""python-swiftclient where test_swift_objects.py stops: every listing parameter, large objects, what ends."""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import swiftclient
from swiftclient.exceptions import ClientException

from tests.support.colony import Colony

GIVE_UP_S = 10.0
NAMES = ("a", "a/1", "a/2", "a/b/3", "b", "c d/é", "c+%41", "💾")


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
    name = f"x {uuid.uuid4().hex} ü"
    swift.put_container(name)
    return name


def _names(rows: list[dict[str, str]]) -> list[str]:
    return [row.get("name") or row["subdir"] for row in rows]


def test_listings_know_every_parameter(swift: swiftclient.Connection, container: str) -> None:
    for name in NAMES:
        swift.put_object(container, name, name)
    ordered = sorted(NAMES, key=str.encode)

    def listed(**parameters: str | int) -> list[str]:
        return _names(swift.get_container(container, **parameters)[1])

    assert listed() == ordered
    assert listed(end_marker="b") == [name for name in ordered if name.encode() < b"b"]
    assert listed(marker="a/1", end_marker="c") == ["a/2", "a/b/3", "b"]
    assert listed(prefix="a/", delimiter="/") == ["a/1", "a/2", "a/b/"]
    assert listed(path="a") == ["a/1", "a/2"]
    assert listed(query_string="reverse=on") == ordered[::-1]
    assert listed(query_string="reverse=on&marker=b&end_marker=a") == ["a/b/3", "a/2", "a/1"]
    assert listed(query_string="reverse=on&prefix=a/&delimiter=/") == ["a/b/", "a/2", "a/1"]
    assert listed(limit=3, full_listing=True) == ordered


def test_listings_come_plain_and_as_xml(swift: swiftclient.Connection, container: str) -> None:
    for name in ("a&b", "c/d"):
        swift.put_object(container, name, b"x")
    url, token = swift.get_auth()

    def fetched(query: str, accept: str = "*/*") -> tuple[str, str]:
        address = f"{url}/{quote(container)}{query}"
        request = urllib.request.Request(address, headers={"X-Auth-Token": token, "Accept": accept})
        with urllib.request.urlopen(request) as answer:
            return answer.headers["Content-Type"].partition(";")[0], answer.read().decode()

    assert fetched("") == ("text/plain", "a&b\nc/d\n")
    kind, text = fetched("?format=xml")
    assert (kind, "<name>a&amp;b</name>" in text) == ("application/xml", True)
    kind, text = fetched("?delimiter=/", "application/json")
    assert (kind, [sorted(row)[-1] for row in json.loads(text)]) == ("application/json", ["name", "subdir"])


def test_an_account_lists_its_containers(swift: swiftclient.Connection) -> None:
    prefix = f"p{uuid.uuid4().hex[:8]}-"
    for name in "abc":
        swift.put_container(f"{prefix}{name}")
    swift.put_object(f"{prefix}a", "o", b"123")
    headers, rows = swift.get_account(prefix=prefix)
    assert [(row["name"], row["count"], row["bytes"]) for row in rows] == [
        (f"{prefix}a", 1, 3), (f"{prefix}b", 0, 0), (f"{prefix}c", 0, 0)
    ]  # fmt: skip
    assert int(headers["x-account-container-count"]) >= 3
    assert _names(swift.get_account(prefix=prefix, marker=f"{prefix}a", limit=1)[1]) == [f"{prefix}b"]
    assert _names(swift.get_account(prefix=prefix, end_marker=f"{prefix}b")[1]) == [f"{prefix}a"]


def test_a_static_large_object_is_checked_ranged_copied_and_deleted_whole(
    swift: swiftclient.Connection, container: str
) -> None:
    segments = [
        {"path": f"/{container}/s/{number}", "etag": swift.put_object(container, f"s/{number}", text)}
        for number, text in enumerate((b"one-", b"two-", b"three"))
    ]
    wrong = [{**segments[0], "etag": "0" * 32}]
    with pytest.raises(ClientException) as refused:
        swift.put_object(container, "slo", json.dumps(wrong), query_string="multipart-manifest=put")
    assert refused.value.http_status == 400
    swift.put_object(container, "slo", json.dumps(segments), query_string="multipart-manifest=put")
    found, body = swift.get_object(container, "slo")
    assert (body, found["x-static-large-object"].lower()) == (b"one-two-three", "true")
    assert swift.get_object(container, "slo", headers={"Range": "bytes=2-5"})[1] == b"e-tw"
    swift.copy_object(container, "slo", f"/{container}/joined")
    manifest = json.loads(swift.get_object(container, "slo", query_string="multipart-manifest=get")[1])
    assert [part["name"] for part in manifest] == [part["path"] for part in segments]
    swift.delete_object(container, "slo", query_string="multipart-manifest=delete")
    assert _names(swift.get_container(container)[1]) == ["joined"]
    assert swift.get_object(container, "joined")[1] == b"one-two-three"


def test_a_dynamic_large_object_is_what_its_prefix_names_now(
    swift: swiftclient.Connection, container: str
) -> None:
    quoted = quote(container)
    swift.put_object(container, "dlo", b"", headers={"X-Object-Manifest": f"{quoted}/part-"})
    assert swift.get_object(container, "dlo")[1] == b""
    for number in (2, 1, 3):
        swift.put_object(container, f"part-{number}", b"%d" % number * 3)
    found, body = swift.get_object(container, "dlo", headers={"Range": "bytes=2-6"})
    assert (body, found["content-range"]) == (b"12223", "bytes 2-6/9")


def test_objects_end_when_they_should(swift: swiftclient.Connection, container: str) -> None:
    with pytest.raises(ClientException) as refused:
        swift.put_object(container, "past", b"x", headers={"X-Delete-At": "1"})
    assert refused.value.http_status == 400
    swift.put_object(container, "soon", b"x", headers={"X-Delete-After": "1"})
    give_up = time.monotonic() + GIVE_UP_S
    while _status_of(swift, container, "soon") != 404:
        assert time.monotonic() < give_up
        time.sleep(0.1)


def _status_of(swift: swiftclient.Connection, container: str, name: str) -> int:
    try:
        swift.head_object(container, name)
    except ClientException as refused:
        return int(refused.http_status)
    return 200


def test_a_wrong_token_is_401_and_is_mended_by_signing_in(
    swift: swiftclient.Connection, container: str
) -> None:
    url, _ = swift.get_auth()
    with pytest.raises(ClientException) as refused:
        swiftclient.get_container(url, "AUTH_tkwrong", container)
    assert refused.value.http_status == 401
    renewing = swiftclient.Connection(swift.authurl, swift.user, swift.key, auth_version="1", retries=1)
    renewing.url, renewing.token = url, "AUTH_tkwrong"
    assert renewing.get_container(container)[1] == []
    assert renewing.token != "AUTH_tkwrong"
    renewing.close()


def test_metadata_is_added_replaced_and_removed(swift: swiftclient.Connection, container: str) -> None:
    swift.post_container(container, {"X-Container-Meta-A": "1", "X-Container-Meta-B": "ü"})
    swift.post_container(container, {"X-Container-Meta-A": "", "X-Remove-Container-Meta-C": "x"})
    found = swift.head_container(container)
    assert "x-container-meta-a" not in found
    assert found["x-container-meta-b"] == "ü"
    swift.put_object(container, "o", b"x", headers={"X-Object-Meta-A": "1", "Content-Disposition": "inline"})
    swift.copy_object(container, "o", f"/{container}/fresh", fresh_metadata=True)
    assert "x-object-meta-a" not in swift.head_object(container, "fresh")
    assert swift.head_object(container, "o")["content-disposition"] == "inline"
