"""Multipart uploads: parts in, one object out."""

import hashlib

import pytest

from proxy import checksums
from proxy.s3.call import Settings
from tests.unit.proxy.s3.client import Answer, Client, World

BIG = b"a" * 1000


@pytest.fixture
def world() -> World:
    world = World(Settings(part_bytes_min=1000))
    world.admin("PUT", "/bucket")
    return world


def begin(client: Client, headers: dict[str, str] | None = None, key: str = "k") -> str:
    answer = client("POST", f"/bucket/{key}?uploads", headers=headers)
    assert answer.status == 200
    return answer.text("UploadId")


def put(client: Client, upload: str, number: int, body: bytes, headers: dict[str, str] | None = None) -> str:
    answer = client("PUT", f"/bucket/k?partNumber={number}&uploadId={upload}", body, headers)
    assert answer.status == 200, answer
    return answer.headers["etag"]


def finish(
    client: Client, upload: str, parts: list[tuple[int, str]], headers: dict[str, str] | None = None
) -> Answer:
    inner = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in parts)
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    return client("POST", f"/bucket/k?uploadId={upload}", body, headers)


def test_parts_become_one_object(world: World) -> None:
    client = world.admin
    upload = begin(client, {"content-type": "text/x", "x-amz-meta-a": "1", "x-amz-tagging": "t=1"})
    parts = [(2, put(client, upload, 2, b"end")), (1, put(client, upload, 1, BIG))]
    assert client("GET", "/bucket/k").code == "NoSuchKey"
    done = finish(client, upload, sorted(parts))
    joined = hashlib.md5(hashlib.md5(BIG).digest() + hashlib.md5(b"end").digest()).hexdigest()
    assert done.text("ETag") == f'"{joined}-2"'
    assert done.text("Location") == "http://s3.example.org/bucket/k"
    found = client("GET", "/bucket/k")
    assert (found.body, found.headers["etag"]) == (BIG + b"end", f'"{joined}-2"')
    assert (found.headers["content-type"], found.headers["x-amz-meta-a"]) == ("text/x", "1")
    assert found.headers["x-amz-tagging-count"] == "1"
    assert client("GET", "/bucket/k", headers={"range": "bytes=998-1001"}).body == b"aaen"
    listed = client("GET", "/bucket?list-type=2")
    assert (listed.text("Size"), listed.text("ETag")) == ("1003", f'"{joined}-2"')


def test_parts_are_read_by_their_place_whatever_numbers_they_were_uploaded_by(world: World) -> None:
    client = world.admin
    upload = begin(client)
    parts = [(3, put(client, upload, 3, BIG)), (7, put(client, upload, 7, b"end"))]
    finish(client, upload, parts)
    found = client("GET", "/bucket/k?partNumber=2")
    assert (found.status, found.body, found.headers["x-amz-mp-parts-count"]) == (206, b"end", "2")
    assert found.headers["content-range"] == "bytes 1000-1002/1003"
    assert client("HEAD", "/bucket/k?partNumber=1").headers["content-length"] == "1000"
    assert client("GET", "/bucket/k?partNumber=3").code == "InvalidPartNumber"
    asked = {"x-amz-object-attributes": "ObjectParts"}
    assert client("GET", "/bucket/k?attributes", headers=asked).text("PartsCount") == "2"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("SHA256", "COMPOSITE"), ("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("", "FULL_OBJECT")],
)
def test_checksums_of_parts_and_of_the_whole_are_told(world: World, name: str, kind: str) -> None:
    client = world.admin
    asked = {"x-amz-checksum-algorithm": name, "x-amz-checksum-type": kind} if name else None
    upload = begin(client, asked)
    bodies = (BIG, b"end")
    parts = [(number, put(client, upload, number, body)) for number, body in enumerate(bodies, 1)]
    shown = name or checksums.CRC64NVME
    sums = [checksums.checksum(shown, body) for body in bodies]
    whole = (
        checksums.checksum(shown, b"".join(bodies))
        if kind == "FULL_OBJECT"
        else checksums.composite(shown, sums)
    )
    header = f"x-amz-checksum-{shown.lower()}"
    for wrong in ("bad", sums[0]):
        assert finish(client, upload, parts, {header: wrong}).code == "BadDigest"
    if name:
        other = "COMPOSITE" if kind == "FULL_OBJECT" else "FULL_OBJECT"
        assert finish(client, upload, parts, {"x-amz-checksum-type": other}).code == "InvalidRequest"
    done = finish(client, upload, parts, {header: whole, "x-amz-checksum-type": kind})
    assert (done.text(f"Checksum{shown}"), done.text("ChecksumType")) == (whole, kind)
    mode = {"x-amz-checksum-mode": "ENABLED"}
    assert client("GET", "/bucket/k", headers=mode).headers[header] == whole
    for number, held in enumerate(sums, 1):
        for method in ("GET", "HEAD"):
            part = client(method, f"/bucket/k?partNumber={number}", headers=mode).headers
            assert (part[header], part["x-amz-checksum-type"]) == (held, kind)
            assert header not in client(method, f"/bucket/k?partNumber={number}").headers
    told = client("GET", "/bucket/k?attributes", headers={"x-amz-object-attributes": "Checksum,ObjectParts"})
    assert told.texts(f"Checksum{shown}") == [whole, *sums]
    assert told.texts("PartNumber") == ["1", "2"]


def test_what_is_asked_of_completion_is_checked(world: World) -> None:
    client = world.admin
    upload = begin(client)
    one, two = put(client, upload, 1, b"small"), put(client, upload, 2, BIG)
    assert finish(client, upload, [(2, two), (1, one)]).code == "InvalidPartOrder"
    assert finish(client, upload, [(2, two), (2, two)]).code == "InvalidPartOrder"
    assert finish(client, upload, [(2, one)]).code == "InvalidPart"
    assert finish(client, upload, [(3, one)]).code == "InvalidPart"
    assert finish(client, upload, []).code == "MalformedXML"
    assert finish(client, upload, [(0, one)]).code == "MalformedXML"
    small = finish(client, upload, [(1, one), (2, two)])
    assert (small.code, small.text("PartNumber"), small.text("ProposedSize")) == ("EntityTooSmall", "1", "5")
    assert finish(client, upload, [(2, two)], {"x-amz-mp-object-size": "7"}).code == "InvalidRequest"
    assert finish(client, "unknown", [(2, two)]).code == "NoSuchUpload"
    assert finish(client, upload, [(2, two)]).status == 200


def test_the_upload_goes_with_completion_which_may_be_asked_for_again(world: World) -> None:
    client = world.admin
    upload = begin(client)
    etag = put(client, upload, 1, BIG)
    put(client, upload, 2, BIG)
    assert finish(client, upload, [(1, etag)]).status == 200
    assert client("GET", f"/bucket/k?uploadId={upload}").code == "NoSuchUpload"
    assert client("GET", "/bucket/k").body == BIG
    again = finish(client, upload, [(1, etag)])
    assert (again.status, again.text("ETag")) == (200, client("HEAD", "/bucket/k").headers["etag"])
    assert finish(client, upload, [(1, etag), (2, etag)]).code == "NoSuchUpload"
    client("DELETE", "/bucket/k")
    assert finish(client, upload, [(1, etag)]).code == "NoSuchUpload"


def test_parts_stay_for_readers_of_an_object_that_is_replaced_or_deleted(world: World) -> None:
    client = world.admin
    uploads = []
    for _ in range(2):
        uploads.append(begin(client))
        finish(client, uploads[-1], [(1, put(client, uploads[-1], 1, BIG))])
    client("DELETE", "/bucket/k")
    held = [name for path in world.colony.objects for name in world.colony.objects[path] if "\0" in name]
    assert held == [f"k\0{upload}\00000001" for upload in uploads]


def test_completion_may_be_conditional(world: World) -> None:
    client = world.admin
    client("PUT", "/bucket/k", b"there")
    upload = begin(client)
    parts = [(1, put(client, upload, 1, BIG))]
    assert finish(client, upload, parts, {"if-none-match": "*"}).code == "PreconditionFailed"
    etag = client("HEAD", "/bucket/k").headers["etag"]
    assert finish(client, upload, parts, {"if-match": etag}).status == 200


def test_an_aborted_upload_is_gone(world: World) -> None:
    client = world.admin
    upload = begin(client)
    put(client, upload, 1, BIG)
    assert client("DELETE", f"/bucket/k?uploadId={upload}").status == 204
    assert client("DELETE", f"/bucket/k?uploadId={upload}").code == "NoSuchUpload"
    refused = client("PUT", f"/bucket/k?partNumber=1&uploadId={upload}", b"x")
    assert refused.code == "NoSuchUpload"
    assert not client("GET", "/bucket?uploads").texts("Upload")


def test_parts_are_listed_in_pages(world: World) -> None:
    client = world.admin
    upload = begin(client)
    for number in (1, 5, 10):
        put(client, upload, number, b"x" * number)
    first = client("GET", f"/bucket/k?uploadId={upload}&max-parts=2")
    assert (first.texts("PartNumber"), first.texts("Size")) == (["1", "5"], ["1", "5"])
    assert (first.text("IsTruncated"), first.text("NextPartNumberMarker")) == ("true", "5")
    second = client("GET", f"/bucket/k?uploadId={upload}&part-number-marker=5")
    assert (second.texts("PartNumber"), second.text("IsTruncated")) == (["10"], "false")


def test_uploads_are_listed_by_key_and_rolled_up(world: World) -> None:
    client = world.admin
    uploads = {key: begin(client, key=key) for key in ("a", "d/1", "d/2", "z")}
    again = begin(client, key="a")
    found = client("GET", "/bucket?uploads")
    assert found.texts("Key") == ["a", "a", "d/1", "d/2", "z"]
    assert set(found.texts("UploadId")) == {*uploads.values(), again}
    rolled = client("GET", "/bucket?uploads&delimiter=%2F")
    assert rolled.texts("Key") == ["a", "a", "z"]
    assert [one.text for one in rolled.tree.iterfind("{*}CommonPrefixes/{*}Prefix")] == ["d/"]
    assert client("GET", "/bucket?uploads&prefix=d").texts("Key") == ["d/1", "d/2"]
    assert client("GET", "/bucket?uploads&key-marker=a").texts("Key") == ["d/1", "d/2", "z"]
    page = client("GET", "/bucket?uploads&max-uploads=1")
    assert (page.text("NextKeyMarker"), page.text("IsTruncated")) == ("a", "true")
    marker = f"key-marker=a&upload-id-marker={page.text('NextUploadIdMarker')}"
    assert client("GET", f"/bucket?uploads&{marker}").texts("Key") == ["a", "d/1", "d/2", "z"]
    assert client("GET", "/bucket?list-type=2").texts("Key") == []


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
def test_part_numbers_are_bounded(world: World, number: str) -> None:
    upload = begin(world.admin)
    refused = world.admin("PUT", f"/bucket/k?partNumber={number}&uploadId={upload}", b"x")
    assert refused.code == "InvalidArgument"


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums_are_of_the_parts_checksums(world: World, name: str) -> None:
    client = world.admin
    upload = begin(client, {"x-amz-checksum-algorithm": name})
    parts = [(1, put(client, upload, 1, BIG)), (2, put(client, upload, 2, b"end"))]
    expected = checksums.composite(name, [checksums.checksum(name, part) for part in (BIG, b"end")])
    done = finish(client, upload, parts)
    assert (done.text(f"Checksum{name}"), done.text("ChecksumType")) == (expected, "COMPOSITE")
    found = client("HEAD", "/bucket/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.headers[f"x-amz-checksum-{name.lower()}"] == expected


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_are_those_of_the_whole(world: World, name: str) -> None:
    client = world.admin
    upload = begin(client, {"x-amz-checksum-algorithm": name, "x-amz-checksum-type": "FULL_OBJECT"})
    parts = [(1, put(client, upload, 1, BIG)), (2, put(client, upload, 2, b"end"))]
    whole = checksums.checksum(name, BIG + b"end")
    header = f"x-amz-checksum-{name.lower()}"
    assert finish(client, upload, parts, {header: checksums.checksum(name, b"?")}).code == "BadDigest"
    done = finish(client, upload, parts, {header: whole})
    assert (done.text(f"Checksum{name}"), done.text("ChecksumType")) == (whole, "FULL_OBJECT")


def test_without_an_algorithm_the_whole_has_the_usual_checksum(world: World) -> None:
    client = world.admin
    upload = begin(client)
    finish(client, upload, [(1, put(client, upload, 1, BIG)), (2, put(client, upload, 2, b"end"))])
    found = client("HEAD", "/bucket/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.headers["x-amz-checksum-crc64nvme"] == checksums.checksum("CRC64NVME", BIG + b"end")


def test_algorithms_that_do_not_fit_are_refused(world: World) -> None:
    client = world.admin
    for sent in (
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "MD5"},
    ):
        assert client("POST", "/bucket/k?uploads", headers=sent).code == "InvalidRequest"
    upload = begin(client, {"x-amz-checksum-algorithm": "SHA256"})
    sent = {"x-amz-checksum-crc32": checksums.checksum("CRC32", b"x")}
    refused = client("PUT", f"/bucket/k?partNumber=1&uploadId={upload}", b"x", sent)
    assert refused.code == "InvalidRequest"
