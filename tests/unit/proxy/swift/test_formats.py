"""What a container's listing in JSON says of rows of every kind, the many usual ones and the others."""

import json

from hypothesis import given
from hypothesis import strategies as st

from model.entry import Entry, Kind
from model.listing import RawRow, pack_listed
from model.names import decode_name, encode_name
from model.stamp import Stamp
from proxy.dates import iso_micros
from proxy.swift.formats import MANIFEST_ETAG, json_objects

BASE_MS = 1_763_730_000_000
ETAGS = ["0123456789abcdef0123456789abcdef", "f" * 32, "f" * 32 + "-3", ""]
TYPES = ["application/octet-stream", "text/plain", 'say="é"', "x" * 2_000]

names = st.text(st.sampled_from('ab/ "\\<é😀\x7f\n'), min_size=1, max_size=6)
moments = st.tuples(st.integers(BASE_MS, BASE_MS + 2_500), st.sampled_from([0, 1, 65, 66, 40_000, 65_535]))


def stamp_of(moment: tuple[int, int]) -> Stamp:
    return Stamp((moment[0] << 16 | moment[1]).to_bytes(8, "big") + bytes(8))


@st.composite
def listed(draw: st.DrawFn) -> tuple[RawRow, dict[str, object]]:
    """Return a row or a common prefix, and what JSON is to say of it."""
    name = draw(names)
    if draw(st.integers(0, 9)) == 0:
        return (encode_name(name), b""), {"subdir": name}
    etag, content_type, size = (
        draw(st.sampled_from(ETAGS)),
        draw(st.sampled_from(TYPES)),
        draw(st.integers(0, 9_999)),
    )
    extra = draw(st.sampled_from([{}, {}, {"sum": "CRC32"}, {MANIFEST_ETAG: ETAGS[0]}]))
    stamp, posted = stamp_of(draw(moments)), stamp_of(draw(moments))
    sides = {"type": (posted, b"new/type")} if draw(st.integers(0, 4)) == 0 else {}
    row = Entry(b"", stamp, Kind.DATA, size, pack_listed(etag, content_type, extra), sides).to_row()
    hybrid = int.from_bytes((posted if sides else stamp)[:8], "big")
    said: dict[str, object] = {
        "name": name,
        "hash": extra.get(MANIFEST_ETAG, etag),
        "bytes": size,
        "content_type": "new/type" if sides else content_type,
        "last_modified": iso_micros((hybrid >> 16) * 1000 + ((hybrid & 0xFFFF) * 1000 >> 16)),
    }
    if MANIFEST_ETAG in extra:
        said["slo_etag"] = f'"{etag}"'
    return (encode_name(name), row), said


@given(st.lists(listed()))
def test_a_listing_says_of_each_row_what_is_stored_in_it(
    rows: list[tuple[RawRow, dict[str, object]]],
) -> None:
    assert json_objects([item for item, _ in rows]) == json.dumps([said for _, said in rows]).encode()


def test_a_name_that_is_not_utf8_is_listed_with_its_bytes_escaped() -> None:
    row = Entry(b"", Stamp(bytes(16)), Kind.DATA, 1, pack_listed(ETAGS[0], TYPES[0])).to_row()
    (said,) = json.loads(json_objects([(b"a\xff", row)]))
    assert said["name"] == decode_name(b"a\xff")
