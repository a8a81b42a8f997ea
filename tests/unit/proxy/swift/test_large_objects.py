"""Large objects read as one, whether a manifest or a prefix names their segments."""

import hashlib
import json
from typing import Any

import pytest

from tests.unit.proxy.swift.client import TEST, Answer, SwiftBench

S = f"{TEST}/s"
BIG = f"{TEST}/c/big"
PIECES = {"1": b"aaaa", "2": b"bbbbbb", "3": b"cc"}
WHOLE = b"aaaabbbbbbcc"


def _md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@pytest.fixture(autouse=True)
def segments(swift: SwiftBench) -> None:
    """Three segments."""
    swift.call("PUT", f"{TEST}/c")
    swift.call("PUT", S)
    for name, body in PIECES.items():
        swift.call("PUT", f"{S}/big/{name}", body=body)


def _put(swift: SwiftBench, manifest: Any, headers: dict[str, str] | None = None, path: str = BIG) -> Answer:
    return swift.call("PUT", f"{path}?multipart-manifest=put", headers, json.dumps(manifest).encode())


def _manifest() -> list[dict[str, Any]]:
    return [
        {"path": f"/s/big/{name}", "etag": _md5(body), "size_bytes": len(body)}
        for name, body in PIECES.items()
    ]


def test_a_static_large_object_reads_as_one(swift: SwiftBench) -> None:
    put = _put(swift, _manifest(), {"content-type": "text/x", "x-object-meta-a": "1"})
    etag = _md5("".join(map(_md5, PIECES.values())).encode())
    assert (put.status, put.headers["etag"]) == (201, f'"{etag}"')
    got = swift.call("GET", BIG)
    assert (got.status, got.body, got.length) == (200, WHOLE, len(WHOLE))
    assert got.headers["etag"] == f'"{etag}"'
    assert got.headers["x-static-large-object"] == "True"
    assert (got.headers["content-type"], got.headers["x-object-meta-a"]) == ("text/x", "1")
    assert swift.call("HEAD", BIG).length == len(WHOLE)
    assert swift.call("GET", BIG, {"range": "bytes=3-10"}).body == WHOLE[3:11]
    assert swift.call("GET", BIG, {"if-none-match": f'"{etag}"'}).status == 304


def test_several_ranges_of_a_large_object(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    got = swift.call("GET", BIG, {"range": "bytes=0-4,9-11"})
    assert got.length == len(got.body)
    assert b"\r\n\r\naaaab\r\n" in got.body
    assert b"\r\n\r\nbcc\r\n" in got.body


def test_the_manifest_can_be_read_back_and_put_again(swift: SwiftBench) -> None:
    _put(swift, _manifest(), {"content-type": "text/x"})
    shown = swift.call("GET", f"{BIG}?multipart-manifest=get")
    assert shown.headers["content-type"] == "application/json; charset=utf-8"
    assert [item["name"] for item in shown.json] == ["/s/big/1", "/s/big/2", "/s/big/3"]
    assert shown.json[0]["hash"] == _md5(b"aaaa")
    assert shown.json[0]["bytes"] == 4
    assert shown.headers["etag"] == _md5(shown.body)
    assert swift.call("HEAD", BIG).headers["x-manifest-etag"] == _md5(shown.body)
    raw = swift.call("GET", f"{BIG}?multipart-manifest=get&format=raw")
    assert raw.headers["content-type"] == "text/x"
    assert _put(swift, raw.json, path=f"{TEST}/c/again").status == 201
    assert swift.call("GET", f"{TEST}/c/again").body == WHOLE


def test_a_listing_shows_the_manifests_hash_and_the_whole_size(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    (row,) = swift.call("GET", f"{TEST}/c?format=json").json
    assert row["bytes"] == len(WHOLE)
    assert row["hash"] == swift.call("HEAD", BIG).headers["x-manifest-etag"]
    assert row["slo_etag"] == swift.call("HEAD", BIG).headers["etag"]


def test_ranges_and_inline_data_in_a_manifest(swift: SwiftBench) -> None:
    manifest = [
        {"path": "/s/big/2", "range": "1-2"},
        {"data": "LS0t"},
        {"path": "/s/big/1", "range": "-1"},
        {"path": "/s/big/3", "range": "0-1"},
    ]
    put = _put(swift, manifest)
    assert put.status == 201
    assert swift.call("GET", BIG).body == b"bb---acc"
    shown = swift.call("GET", f"{BIG}?multipart-manifest=get").json
    assert [item.get("range") for item in shown] == ["1-2", None, "3-3", None]
    assert shown[1] == {"data": "LS0t"}
    text = f"{_md5(PIECES['2'])}:1-2;{_md5(b'---')}{_md5(PIECES['1'])}:3-3;{_md5(PIECES['3'])}"
    assert put.headers["etag"] == f'"{_md5(text.encode())}"'


def test_manifests_nest(swift: SwiftBench) -> None:
    _put(swift, _manifest(), path=f"{TEST}/c/inner")
    assert _put(swift, [{"path": "c/inner", "range": "3-"}, {"path": "s/big/1"}]).status == 201
    assert swift.call("GET", BIG).body == WHOLE[3:] + b"aaaa"
    assert swift.call("GET", f"{BIG}?multipart-manifest=get").json[0]["sub_slo"] is True


def test_manifests_nest_to_a_limit(swift: SwiftBench) -> None:
    path = "s/big/1"
    for depth in range(10):
        assert _put(swift, [{"path": path}], path=f"{TEST}/c/{depth}").status == 201
        path = f"c/{depth}"
    assert _put(swift, [{"path": path}], path=f"{TEST}/c/deeper").status == 400


def test_the_stated_etag_is_that_of_the_whole(swift: SwiftBench) -> None:
    etag = _md5("".join(map(_md5, PIECES.values())).encode())
    assert _put(swift, _manifest(), {"etag": "0" * 32}).status == 422
    assert _put(swift, _manifest(), {"etag": etag}).status == 201


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({}, "must be a list"),
        (["x"], "Index 0: not a JSON object"),
        ([{}], "Index 0: expected keys"),
        ([{"path": "/s/big/1", "bogus": 1}], 'Index 0: extraneous keys "bogus"'),
        ([{"path": 3}], 'Index 0: "path" must be a string'),
        ([{"path": "/s"}], "Index 0: path does not refer to an object"),
        ([{"path": "/s/big/1", "etag": 3}], 'Index 0: "etag" must be a string'),
        ([{"path": "/s/big/1", "size_bytes": "x"}], "Index 0: invalid size_bytes"),
        ([{"path": "/s/big/1", "size_bytes": 0}, {"path": "/s/big/2"}], "Index 0: too small"),
        ([{"path": "/c/big"}], "Index 0: manifest must not include itself"),
        ([{"path": "/s/big/1", "range": "x"}], "Index 0: invalid range"),
        ([{"path": "/s/big/1", "range": "0-1,2-3"}], "Index 0: multiple ranges"),
        ([{"path": "/s/big/1", "size_bytes": 4, "range": "9-"}], "Index 0: unsatisfiable range"),
        ([{"path": "/s/big/1", "size_bytes": float("inf")}], "Index 0: invalid size_bytes"),
        ([{"path": "/\0uploads\0c/x"}], "Index 0: path holds a NUL"),
        ([{"path": "/s/\ud800"}], "Index 0: path is not UTF-8"),
        ([{"data": "***"}], "Index 0: data must be valid base64"),
        ([{"data": ""}, {"path": "/s/big/1"}], "Index 0: too small"),
        ([{"data": "LS0t"}], "at least one object-backed segment"),
    ],
)
def test_a_manifest_with_a_mistake_is_told_where(swift: SwiftBench, manifest: Any, text: str) -> None:
    answer = _put(swift, manifest)
    assert answer.status == 400
    assert text in answer.body.decode()
    assert swift.call("HEAD", BIG).status == 404


def test_every_segment_that_does_not_fit_is_reported(swift: SwiftBench) -> None:
    manifest = [
        {"path": "/s/absent"},
        {"path": "/s/big/1", "etag": "0" * 32},
        {"path": "/s/big/2", "size_bytes": 5},
        {"path": "/s/big/3", "range": "7-9"},
    ]
    answer = _put(swift, manifest, {"accept": "application/json"})
    assert answer.status == 400
    assert answer.json["Errors"] == [
        ["/s/absent", "404 Not Found"],
        ["/s/big/1", "Etag Mismatch"],
        ["/s/big/2", "Size Mismatch"],
        ["/s/big/3", "Unsatisfiable Range"],
    ]
    assert b"/s/big/1, Etag Mismatch\n" in _put(swift, manifest).body
    xml = _put(swift, manifest, {"accept": "application/xml"}).body
    assert b"<name>/s/big/1</name><status>Etag Mismatch</status>" in xml


def test_a_segment_that_changed_is_a_conflict(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    swift.call("PUT", f"{S}/big/1", body=b"zzzz")
    assert swift.call("GET", BIG).status == 409
    swift.call("DELETE", f"{S}/big/1")
    assert swift.call("GET", BIG).status == 409


def test_one_part_is_read_by_its_number(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    got = swift.call("GET", f"{BIG}?part-number=2")
    assert (got.status, got.body) == (206, PIECES["2"])
    assert got.headers["content-range"] == "bytes 4-9/12"
    assert got.headers["x-parts-count"] == "3"
    head = swift.call("HEAD", f"{BIG}?part-number=3")
    assert (head.status, head.length) == (206, 2)
    assert swift.call("GET", f"{BIG}?part-number=4").status == 416
    assert swift.call("GET", f"{BIG}?part-number=0").status == 400
    assert swift.call("GET", f"{BIG}?part-number=1", {"range": "bytes=0-1"}).status == 400


def test_who_reads_the_whole_must_be_able_to_read_its_segments(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    swift.call("POST", f"{TEST}/c", {"x-container-read": ".r:*"})
    assert swift.call("GET", BIG, user="").status == 409
    swift.call("POST", S, {"x-container-read": ".r:*"})
    assert swift.call("GET", BIG, user="").body == WHOLE
    swift.call("POST", f"{TEST}/c", {"x-container-write": "test2"})
    swift.call("POST", S, {"x-remove-container-read": "x"})
    put = swift.call(
        "PUT", f"{BIG}2?multipart-manifest=put", body=json.dumps(_manifest()).encode(), user="test2:tester2"
    )
    assert put.status == 400
    assert b"/s/big/1, 403 Forbidden\n" in put.body


def test_deleting_the_manifest_alone_leaves_the_segments(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    assert swift.call("DELETE", BIG).status == 204
    assert swift.call("HEAD", f"{S}/big/1").status == 200


def test_a_large_object_is_deleted_with_its_segments_and_inner_manifests(swift: SwiftBench) -> None:
    _put(swift, _manifest(), path=f"{TEST}/c/inner")
    _put(swift, [{"path": "c/inner"}, {"data": "LS0t"}, {"path": "s/big/1"}])
    answer = swift.call("DELETE", f"{BIG}?multipart-manifest=delete", {"accept": "application/json"})
    assert answer.status == 200
    assert answer.json["Number Deleted"] == 5
    assert answer.json["Response Status"] == "200 OK"
    assert swift.call("GET", S).body == b""
    assert swift.call("GET", f"{TEST}/c").body == b""


def test_only_a_manifest_is_deleted_with_segments(swift: SwiftBench) -> None:
    json_please = {"accept": "application/json"}
    answer = swift.call("DELETE", f"{S}/big/1?multipart-manifest=delete", json_please)
    assert answer.json["Response Status"] == "400 Bad Request"
    assert swift.call("HEAD", f"{S}/big/1").status == 200
    answer = swift.call("DELETE", f"{BIG}?multipart-manifest=delete", json_please)
    assert answer.json["Number Not Found"] == 1


def test_a_copy_of_a_large_object_is_its_bytes_or_its_manifest(swift: SwiftBench) -> None:
    _put(swift, _manifest())
    assert swift.call("COPY", BIG, {"destination": "c/flat"}).status == 201
    flat = swift.call("GET", f"{TEST}/c/flat")
    assert (flat.body, flat.headers["etag"]) == (WHOLE, _md5(WHOLE))
    assert "x-static-large-object" not in flat.headers
    assert swift.call("COPY", f"{BIG}?multipart-manifest=get", {"destination": "c/twin"}).status == 201
    twin = swift.call("GET", f"{TEST}/c/twin")
    assert (twin.body, twin.headers["x-static-large-object"]) == (WHOLE, "True")


def test_a_dynamic_large_object_is_what_bears_its_prefix_now(swift: SwiftBench) -> None:
    assert swift.call("PUT", BIG, {"x-object-manifest": "s/big/"}).status == 201
    got = swift.call("GET", BIG)
    assert (got.body, got.length) == (WHOLE, len(WHOLE))
    assert got.headers["etag"] == f'"{_md5("".join(map(_md5, PIECES.values())).encode())}"'
    assert got.headers["x-object-manifest"] == "s/big/"
    swift.call("PUT", f"{S}/big/4", body=b"!")
    assert swift.call("HEAD", BIG).length == len(WHOLE) + 1
    assert swift.call("GET", BIG, {"range": "bytes=-3"}).body == b"cc!"
    assert swift.call("GET", f"{BIG}?multipart-manifest=get").body == b""


def test_a_dynamic_large_object_needs_its_segments_container(swift: SwiftBench) -> None:
    swift.call("PUT", BIG, {"x-object-manifest": "absent/p"})
    assert swift.call("GET", BIG).status == 404
    swift.call("PUT", BIG, {"x-object-manifest": "s/none"})
    assert swift.call("GET", BIG).body == b""


def test_a_dynamic_large_object_cannot_name_what_is_hidden(swift: SwiftBench) -> None:
    swift.call("PUT", BIG, {"x-object-manifest": "%00uploads%00c/p"})
    assert swift.call("GET", BIG).status == 409


def test_a_dynamic_large_object_is_copied_as_bytes_or_as_itself(swift: SwiftBench) -> None:
    swift.call("PUT", BIG, {"x-object-manifest": "s/big/"})
    swift.call("COPY", BIG, {"destination": "c/flat"})
    flat = swift.call("GET", f"{TEST}/c/flat")
    assert flat.body == WHOLE
    assert "x-object-manifest" not in flat.headers
    swift.call("COPY", f"{BIG}?multipart-manifest=get", {"destination": "c/twin"})
    assert swift.call("GET", f"{TEST}/c/twin").headers["x-object-manifest"] == "s/big/"
