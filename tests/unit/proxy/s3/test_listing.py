"""Listings of objects in both versions, of versions, and batch deletion."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.s3.listing import make_token, read_token
from tests.unit.proxy.s3.client import Answer, Client, World, path_of

KEYS = ["a", "b/1", "b/2", "c/d/e", "c/f", "ü +%&"]


def filled(keys: list[str]) -> Client:
    client = World().admin
    client("PUT", "/bucket")
    for key in keys:
        assert client("PUT", path_of("bucket", key), key.encode()).status == 200
    return client


@pytest.fixture(scope="module")
def client() -> Client:
    return filled(KEYS)


def prefixes(answer: Answer) -> list[str]:
    return [element.text or "" for element in answer.tree.iterfind("{*}CommonPrefixes/{*}Prefix")]


def test_keys_come_in_order_with_what_is_known_of_them(client: Client) -> None:
    found = client("GET", "/bucket?list-type=2")
    assert found.texts("Key") == KEYS
    assert (found.text("KeyCount"), found.text("IsTruncated"), found.text("MaxKeys")) == (
        "6",
        "false",
        "1000",
    )
    assert found.texts("Size") == [str(len(key.encode())) for key in KEYS]
    assert found.texts("ETag")[0] == '"0cc175b9c0f1b6a831c399e269772661"'
    assert found.texts("Owner") == []
    owned = client("GET", "/bucket?list-type=2&fetch-owner=true")
    assert set(owned.texts("ID")) == {"acme:admin"}


@pytest.mark.parametrize("version", ["", "list-type=2&"])
def test_a_delimiter_rolls_names_up(client: Client, version: str) -> None:
    found = client("GET", f"/bucket?{version}delimiter=%2F")
    assert (found.texts("Key"), prefixes(found)) == (["a", "ü +%&"], ["b/", "c/"])
    found = client("GET", f"/bucket?{version}delimiter=%2F&prefix=c%2F")
    assert (found.texts("Key"), prefixes(found)) == (["c/f"], ["c/d/"])


def test_names_are_encoded_where_asked(client: Client) -> None:
    found = client("GET", "/bucket?list-type=2&encoding-type=url&prefix=%C3%BC")
    assert found.texts("Key") == ["%C3%BC%20%2B%25%26"]
    assert (found.text("Prefix"), found.text("EncodingType")) == ("%C3%BC", "url")
    assert client("GET", "/bucket?encoding-type=hex").code == "InvalidArgument"


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("delimiter", ["", "&delimiter=%2F"])
def test_pages_follow_one_another_by_token(client: Client, size: int, delimiter: str) -> None:
    seen: list[str] = []
    more = ""
    while True:
        page = client("GET", f"/bucket?list-type=2&max-keys={size}{delimiter}{more}")
        assert page.status == 200
        names = page.texts("Key") + prefixes(page)
        assert len(names) <= size
        seen += names
        if page.text("IsTruncated") == "false":
            break
        more = f"&continuation-token={page.text('NextContinuationToken')}"
    assert sorted(seen) == (KEYS if not delimiter else ["a", "b/", "c/", "ü +%&"])


@pytest.mark.parametrize("delimiter", ["", "&delimiter=%2F"])
def test_pages_of_the_first_version_follow_one_another_by_marker(client: Client, delimiter: str) -> None:
    seen: list[str] = []
    marker = ""
    while True:
        page = client("GET", f"/bucket?max-keys=2{delimiter}&marker={quote(marker, safe='')}")
        assert page.status == 200
        names = sorted(page.texts("Key") + prefixes(page))
        seen += names
        if page.text("IsTruncated") == "false":
            break
        if delimiter:
            assert page.text("NextMarker") == names[-1]
        marker = names[-1]
    assert seen == (KEYS if not delimiter else ["a", "b/", "c/", "ü +%&"])


def test_no_keys_at_all_may_be_asked_for(client: Client) -> None:
    found = client("GET", "/bucket?list-type=2&max-keys=0")
    assert (found.texts("Key"), found.text("IsTruncated"), found.text("KeyCount")) == ([], "false", "0")
    assert client("GET", "/nowhere?list-type=2&max-keys=0").code == "NoSuchBucket"


def test_a_listing_may_start_after_a_key(client: Client) -> None:
    assert client("GET", "/bucket?list-type=2&start-after=b%2F1").texts("Key") == KEYS[2:]
    assert client("GET", "/bucket?list-type=2&start-after=zzz&max-keys=5").texts("Key") == ["ü +%&"]


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=x",
        "max-keys=-1",
        "max-keys=99999999999",
        "continuation-token=x%21",
        "allow-unordered=true&delimiter=%2F",
    ],
)
def test_senseless_parameters_are_refused(client: Client, query: str) -> None:
    assert client("GET", f"/bucket?list-type=2&{query}").code == "InvalidArgument"


def test_an_empty_token_begins_the_listing(client: Client) -> None:
    page = client("GET", "/bucket?list-type=2&continuation-token=")
    assert (page.texts("Key"), page.text("ContinuationToken")) == (KEYS, "")


@given(st.binary(max_size=40))
def test_tokens_are_read_back(marker: bytes) -> None:
    assert read_token(make_token(marker)) == marker


def test_a_bucket_that_is_not_there_lists_nothing(client: Client) -> None:
    assert client("GET", "/nowhere?list-type=2").code == "NoSuchBucket"
    assert client("GET", "/nowhere").code == "NoSuchBucket"
    assert client("GET", "/nowhere?versions").code == "NoSuchBucket"


def test_each_key_is_its_own_latest_version(client: Client) -> None:
    found = client("GET", "/bucket?versions&max-keys=2")
    assert (found.texts("Key"), set(found.texts("VersionId"))) == (KEYS[:2], {"null"})
    assert (found.text("NextKeyMarker"), found.text("NextVersionIdMarker")) == ("b/1", "null")
    rest = client("GET", "/bucket?versions&key-marker=b%2F1&version-id-marker=null")
    assert rest.texts("Key") == KEYS[2:]
    assert client("GET", "/bucket?versions&version-id-marker=null").code == "InvalidArgument"


def delete(client: Client, inner: str, headers: dict[str, str] | None = None) -> Answer:
    return client("POST", "/bucket?delete", f"<Delete>{inner}</Delete>".encode(), headers)


def test_many_keys_are_deleted_at_once() -> None:
    client = filled(["a", "b", "c"])
    inner = "<Object><Key>a</Key></Object><Object><Key>absent</Key></Object>"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert delete(client, inner, bypass).texts("Key") == ["a", "absent"]
    assert delete(client, "<Quiet>true</Quiet><Object><Key>b</Key></Object>").texts("Key") == []
    assert client("GET", "/bucket?list-type=2").texts("Key") == ["c"]


def test_each_key_of_a_batch_has_its_own_outcome() -> None:
    client = filled(["a", "b"])
    found = delete(
        client,
        "<Object><Key>a</Key><VersionId>xyz</VersionId></Object>"
        "<Object><Key>b</Key><VersionId>null</VersionId></Object>"
        f"<Object><Key>{'k' * 1025}</Key></Object>",
    )
    assert found.status == 200
    assert found.texts("Code") == ["NoSuchVersion", "KeyTooLongError"]
    assert [one.find("{*}Key").text for one in found.tree.iterfind("{*}Deleted")] == ["b"]


@pytest.mark.parametrize(
    "inner", ["", "<Object><Key></Key></Object>", "<Object><Key>k</Key></Object>" * 1001, "<Object>"]
)
def test_a_batch_that_makes_no_sense_is_malformed(inner: str) -> None:
    assert delete(filled([]), inner).code == "MalformedXML"


def test_a_thousand_keys_go_in_one_batch() -> None:
    client = filled(["k7"])
    found = delete(client, "".join(f"<Object><Key>k{number}</Key></Object>" for number in range(1000)))
    assert len(found.texts("Key")) == 1000
    assert client("GET", "/bucket?list-type=2").text("KeyCount") == "0"
