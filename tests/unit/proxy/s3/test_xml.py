"""XML: what is written can be read by any parser, and what is read is bounded."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from proxy.s3 import xml_read, xml_write
from proxy.s3.errors import S3Error

BOMB = b"""<!DOCTYPE Delete [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>
<Delete><Object><Key>&b;</Key></Object></Delete>"""
OUTSIDE = b"""<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/hostname">]><Delete><Key>&x;</Key></Delete>"""


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=60))
def test_text_survives_writing_and_reading(text: str) -> None:
    body = xml_write.root("Root", xml_write.tag("Key", text))
    expected = text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert xml_read.parse(body, "Root").child("Key").text == expected  # type: ignore[union-attr]


def test_what_xml_cannot_hold_is_still_written() -> None:
    assert xml_write.escape("a\x01b\r\n") == "a&#x1;b&#xd;&#xa;"
    assert xml_write.document("\udcff").endswith(b"?")


def test_an_error_document_has_what_clients_look_for() -> None:
    body = xml_write.error("NoSuchKey", "It's <gone>", {"Key": "a&b"}, resource="/b/a&b", ids=("R1", "H1"))
    tree = etree.fromstring(body)
    found = {element.tag: element.text for element in tree}
    assert found == {
        "Code": "NoSuchKey",
        "Message": "It's <gone>",
        "Key": "a&b",
        "Resource": "/b/a&b",
        "RequestId": "R1",
        "HostId": "H1",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<Delete>",
        b"<Other/>",
        BOMB,
        OUTSIDE,
        OUTSIDE.decode().encode("utf-16"),
        b"<Delete>" + b"<a>" * 40 + b"</a>" * 40 + b"</Delete>",
        b"<Delete>" + b"<a/>" * 300_000 + b"</Delete>",
        b"<Delete>&unknown;</Delete>",
        b"\xff\xfe<Delete/>",
        '<?xml version="1.0" encoding="UTF-16"?><Delete/>'.encode("utf-16"),
        b"<Delete " + b" ".join(b'a%d="1"' % number for number in range(40_000)) + b"/>",
        b"<Delete " + b" ".join(b"a%d='1'" % number for number in range(40_000)) + b"/>",
        b"<Delete>" + b"<!-- -->" * 130_000 + b"</Delete>",
    ],
)
def test_hostile_or_broken_xml_is_malformed(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        xml_read.parse(body, "Delete")
    assert caught.value.code == "MalformedXML"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_in_another_way(body: bytes) -> None:
    with contextlib.suppress(S3Error):
        xml_read.parse(body, "Delete")


def test_a_body_is_utf_8_whatever_it_says_of_itself() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><Delete>\N{LATIN SMALL LETTER E WITH ACUTE}</Delete>'
    assert xml_read.parse(body.encode(), "Delete").text == "\N{LATIN SMALL LETTER E WITH ACUTE}"


def test_the_largest_body_that_aws_allows_is_read() -> None:
    part = '<Part><PartNumber>1</PartNumber><ETag>"a"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>'
    body = f"<CompleteMultipartUpload>{part * 10_000}</CompleteMultipartUpload>"
    assert len(list(xml_read.parse(body.encode(), "CompleteMultipartUpload").children("Part"))) == 10_000


def test_namespaces_are_set_aside() -> None:
    node = xml_read.parse(b'<A xmlns="http://x"><B>1</B><!-- c --><B> 2 </B></A>', "A")
    assert [one.text for one in node.children("B")] == ["1", " 2 "]
    assert node.value("B") == "1"
    assert node.fields() == {"B": " 2 "}
