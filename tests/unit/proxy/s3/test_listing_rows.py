"""What a listing through S3 says of rows of every kind, the many usual ones and the others."""

from hypothesis import given
from hypothesis import strategies as st

from model.entry import Entry, Kind
from model.listing import Page, RawRow, pack_listed
from model.names import encode_name
from model.objects import STORAGE_CLASS, SUM
from model.stamp import Stamp
from proxy.dates import iso_millis
from proxy.s3 import xml_write
from proxy.s3.listing import rows

BASE_MS = 1_763_730_000_000
ETAGS = ["0123456789abcdef0123456789abcdef", "f" * 32, "f" * 32 + "-3", ""]
STANDARD = "<StorageClass>STANDARD</StorageClass>"
EXTRAS = {
    STANDARD: {},
    f"<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>{STANDARD}": {
        SUM: "CRC32"
    },
    "<StorageClass>GLACIER</StorageClass>": {STORAGE_CLASS: "GLACIER"},
}

names = st.text(st.sampled_from("ab/ <é😀"), min_size=1, max_size=6)


@st.composite
def listed(draw: st.DrawFn) -> tuple[RawRow, str]:
    """Return a row and what the listing is to say of it."""
    name, etag, size = draw(names), draw(st.sampled_from(ETAGS)), draw(st.integers(0, 9_999))
    moment_ms = draw(st.integers(BASE_MS, BASE_MS + 2_500))
    said, extra = draw(st.sampled_from(list(EXTRAS.items())))
    stamp = Stamp((moment_ms << 16).to_bytes(8, "big") + bytes(8))
    row = Entry(b"", stamp, Kind.DATA, size, pack_listed(etag, draw(st.sampled_from(["a/b", "c/d"])), extra))
    return (encode_name(name), row.to_row()), (
        f"<Contents><Key>{xml_write.escape(name)}</Key><LastModified>{iso_millis(moment_ms)}</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><Owner/>{said}</Contents>"
    )


@given(st.lists(listed()))
def test_a_listing_says_of_each_row_what_is_stored_in_it(found: list[tuple[RawRow, str]]) -> None:
    items = [(b"folder/", b""), *(item for item, _ in found)]
    contents, prefixes = rows(Page(items, False), xml_write.escape, more="<Owner/>")
    assert contents == "".join(said for _, said in found)
    assert prefixes == xml_write.common_prefixes(["folder/"])
