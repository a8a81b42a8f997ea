"""Forms as browsers send them, cut anywhere; and what is no form."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.s3.errors import S3Error
from proxy.s3.post_form import BEFORE_FILE_BYTES_MAX, FIELDS_BYTES_MAX, FormParser, read_boundary

BOUNDARY = b"----Boundary7"


def part(name: str, value: bytes, *, more: str = "") -> bytes:
    head = f'--{BOUNDARY.decode()}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"
FORM = (
    part("key", b"a/b")
    + part("Policy", b"")
    + part("file", b"the\r\n--file", more='; filename="C:\\x\\y.txt"')
    + END
)


def parse(body: bytes, *cuts: int) -> tuple[FormParser, bytes]:
    parser = FormParser(BOUNDARY)
    file = b""
    edges = [0, *sorted(cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        file += b"".join(map(bytes, parser.feed(body[start:end])))
    parser.finish()
    return parser, file


def code_of(body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        parse(body)
    return caught.value.code


def test_a_form_is_fields_and_one_file() -> None:
    parser, file = parse(FORM)
    assert parser.fields == {"key": "a/b", "policy": ""}
    assert (parser.filename, file) == ("y.txt", b"the\r\n--file")


@pytest.mark.parametrize("cut", range(1, len(FORM)))
def test_a_form_may_be_cut_anywhere(cut: int) -> None:
    parser, file = parse(FORM, cut)
    assert (parser.fields, file) == ({"key": "a/b", "policy": ""}, b"the\r\n--file")


def test_a_form_may_come_byte_by_byte() -> None:
    assert parse(FORM, *range(1, len(FORM)))[1] == b"the\r\n--file"


PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"----Bound", b"x"]), max_size=12
)


@given(PIECES, st.lists(st.integers(0, 400), max_size=8))
def test_a_file_that_looks_like_its_boundary_survives(pieces: list[bytes], cuts: list[int]) -> None:
    content = b"".join(pieces)
    body = part("key", b"k") + part("file", content) + END
    assert parse(body, *(cut for cut in cuts if cut <= len(body)))[1] == content


@given(st.binary(max_size=300), st.lists(st.integers(0, 600), max_size=5))
def test_no_bytes_break_the_parser(garbage: bytes, cuts: list[int]) -> None:
    for body in (garbage, part("key", b"k") + garbage, part("key", b"k") + part("file", garbage) + END):
        with suppress(S3Error):
            parse(body, *(cut for cut in cuts if cut <= len(body)))


def test_preamble_and_epilogue_and_what_follows_the_file_are_passed_over() -> None:
    body = b"hello\r\n" + part("key", b"k") + part("file", b"f") + part("more", b"ignored") + END + b"bye"
    parser, file = parse(body)
    assert (parser.fields, file) == ({"key": "k"}, b"f")


def test_names_may_be_escaped_or_encoded() -> None:
    body = (
        part('a\\"b', b"1")
        + part("c%22d", b"2")
        + part("File", b"f", more="; filename*=utf-8''%C3%A9.txt")
        + END
    )
    parser, _ = parse(body)
    assert parser.fields == {'a"b': "1", 'c"d': "2"}
    assert parser.filename == "\N{LATIN SMALL LETTER E WITH ACUTE}.txt"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        FORM[:-8] + b"XX",
        FORM[: FORM.index(b"--file") + 6],
        FORM[: -len(END)] + b"--" + BOUNDARY + b"garbage",
        b"--" + BOUNDARY + b"garbage\r\n\r\n",
        b"--" + BOUNDARY + b"\r\nContent-Disposition: attachment; name=key\r\n\r\nk\r\n" + END,
        b"--" + BOUNDARY + b"\r\nContent-Type: text/plain\r\n\r\nk\r\n" + END,
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="key\r\n\r\nk\r\n' + END,
        part("key", b"k") + part("file", b"f") + END + bytes(70_000),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    assert code_of(body) == "MalformedPOSTRequest"


def test_a_form_without_a_file_is_refused() -> None:
    assert code_of(part("key", b"k") + END) == "IncorrectNumberOfFilesInPostRequest"


def test_what_comes_before_the_file_is_bounded() -> None:
    assert (
        code_of(part("key", bytes(FIELDS_BYTES_MAX)) + part("file", b"") + END)
        == "MaxPostPreDataLengthExceeded"
    )
    assert code_of(bytes(BEFORE_FILE_BYTES_MAX + 1)) == "MaxPostPreDataLengthExceeded"
    assert parse(part("key", bytes(FIELDS_BYTES_MAX - 3)) + part("file", b"") + END)[1] == b""


def test_a_large_file_behind_short_fields_is_no_long_field() -> None:
    content = bytes(3 * BEFORE_FILE_BYTES_MAX)
    assert parse(part("key", b"k") + part("file", content) + END, 200, 100_000)[1] == content


def test_a_field_comes_once() -> None:
    assert code_of(part("key", b"k") + part("KEY", b"j") + part("file", b"") + END) == "InvalidArgument"


def test_a_boundary_comes_in_the_content_type() -> None:
    assert read_boundary('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    assert read_boundary("multipart/form-data;boundary=----x") == b"----x"
    for kind, code in (
        ("", "PreconditionFailed"),
        ("application/x-www-form-urlencoded", "PreconditionFailed"),
        ("multipart/form-data", "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=" + "b" * 71, "MalformedPOSTRequest"),
        ('multipart/form-data; boundary="a\r\nb"', "MalformedPOSTRequest"),
        ('multipart/form-data; boundary="a ', "MalformedPOSTRequest"),
    ):
        with pytest.raises(S3Error) as caught:
            read_boundary(kind)
        assert caught.value.code == code
