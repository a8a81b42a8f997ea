"""The aws-chunked framing: AWS's own examples, any cutting of the stream, and broken streams."""

import hmac
import itertools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import IncompleteBody
from proxy.auth.aws_chunked import (
    SIGNED_CHUNK_BYTES_MIN,
    ChunkDecoder,
    ChunkTooSmall,
    Framing,
    MalformedChunk,
    Signing,
    Trailer,
    WrongLength,
)
from proxy.auth.sigv4 import Seal, SignatureRefused, signing_key

SCOPE = "20130524/us-east-1/s3/aws4_request"
DATE = "20130524T000000Z"
KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
SIZE = 66560

# AWS's example: 64 KiB and 1 KiB of the letter a; seed, the signatures of three chunks, the trailer's.
PLAIN = (
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ),
)
WITH_TRAILER = (
    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    (
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ),
)
TRAILER = (
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
)


def example(signatures: tuple[str, ...]) -> bytes:
    first, second, last = (signature.encode() for signature in signatures)
    return (
        b"10000;chunk-signature=" + first + b"\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=" + second + b"\r\n" + b"a" * 1024 + b"\r\n"
        b"0;chunk-signature=" + last + b"\r\n"
    )


def seal(seed: str) -> Seal:
    return Seal(KEY, seed, DATE, SCOPE)


def decode(decoder: ChunkDecoder, *pieces: bytes) -> bytes:
    payload = b"".join([bytes(span) for piece in pieces for span in decoder.feed(piece)])
    decoder.finish()
    return payload


def signed(trailer: Trailer = Trailer.NONE, size: int | None = SIZE) -> Framing:
    return Framing(Signing.SIGNED, trailer, size)


def unsigned(size: int | None = None) -> Framing:
    return Framing(Signing.UNSIGNED, Trailer.ALLOWED, size)


def test_the_example_of_aws_is_accepted() -> None:
    body = example(PLAIN[1]) + b"\r\n"
    assert decode(ChunkDecoder(signed(), seal(PLAIN[0])), body) == b"a" * SIZE


@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_the_example_of_aws_with_a_trailer_is_accepted(end: bytes) -> None:
    decoder = ChunkDecoder(signed(Trailer.ALLOWED), seal(WITH_TRAILER[0]))
    assert decode(decoder, example(WITH_TRAILER[1]) + TRAILER + end) == b"a" * SIZE
    assert decoder.trailers == {"x-amz-checksum-crc32c": "sOO8/Q=="}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_wrong_signature_of_any_chunk_is_refused(at: int) -> None:
    signatures = [*PLAIN[1]]
    signatures[at] = signatures[at][:-1] + ("0" if signatures[at][-1] != "0" else "1")
    with pytest.raises(SignatureRefused):
        decode(ChunkDecoder(signed(), seal(PLAIN[0])), example(tuple(signatures)) + b"\r\n")


def test_a_changed_byte_is_refused() -> None:
    body = bytearray(example(PLAIN[1]) + b"\r\n")
    body[200] = ord("b")
    with pytest.raises(SignatureRefused):
        decode(ChunkDecoder(signed(), seal(PLAIN[0])), bytes(body))


def test_a_changed_or_unsigned_trailer_is_refused() -> None:
    body = example(WITH_TRAILER[1])
    with pytest.raises(SignatureRefused):
        decode(
            ChunkDecoder(signed(Trailer.ALLOWED), seal(WITH_TRAILER[0])),
            body + TRAILER.replace(b"sOO8", b"sOO9") + b"\r\n",
        )
    with pytest.raises(MalformedChunk):
        decode(
            ChunkDecoder(signed(Trailer.ALLOWED), seal(WITH_TRAILER[0])),
            body + TRAILER.split(b"\r\n")[0] + b"\r\n\r\n",
        )


def cut(body: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[one:two] for one, two in itertools.pairwise(marks)]


@given(st.lists(st.integers(0, 1 << 20), max_size=8))
def test_the_stream_may_be_cut_anywhere(places: list[int]) -> None:
    body = example(WITH_TRAILER[1]) + TRAILER + b"\r\n"
    decoder = ChunkDecoder(signed(Trailer.ALLOWED), seal(WITH_TRAILER[0]))
    assert decode(decoder, *cut(body, places)) == b"a" * SIZE


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    st.lists(st.integers(0, 1 << 12), max_size=12),
)
def test_unsigned_chunks_of_any_size_decode_to_their_payload(chunks: list[bytes], places: list[int]) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    body += b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    decoder = ChunkDecoder(unsigned(sum(map(len, chunks))), None)
    assert decode(decoder, *cut(body, places)) == b"".join(chunks)
    assert decoder.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 9)), max_size=3),
    st.lists(st.integers(0, 1 << 16), max_size=9),
)
def test_what_a_signer_signs_is_accepted(drawn: list[tuple[int, int]], places: list[int]) -> None:
    chunks = [bytes((letter,)) * (SIGNED_CHUNK_BYTES_MIN + more) for letter, more in drawn]
    previous = "0" * 64
    body = b""
    for chunk in [*chunks, b""]:
        to_sign = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                DATE,
                SCOPE,
                previous,
                sha256(b"").hexdigest(),
                sha256(chunk).hexdigest(),
            )
        )
        previous = hmac.digest(KEY, to_sign.encode(), "sha256").hex()
        body += b"%x;chunk-signature=%b\r\n%b\r\n" % (len(chunk), previous.encode(), chunk)
    decoder = ChunkDecoder(signed(size=sum(map(len, chunks))), seal("0" * 64))
    assert decode(decoder, *cut(body, places)) == b"".join(chunks)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_no_bytes_break_the_decoder_in_another_way_than_it_says(body: bytes, places: list[int]) -> None:
    for framing, sealed in ((unsigned(), None), (signed(size=None), seal("0" * 64))):
        try:
            decode(ChunkDecoder(framing, sealed), *cut(body, places))
        except (MalformedChunk, IncompleteBody, SignatureRefused, ChunkTooSmall):
            continue


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_a_stream_that_ends_early_is_incomplete(length: int) -> None:
    body = b"5\r\nhello\r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"[:length]
    with pytest.raises(IncompleteBody):
        decode(ChunkDecoder(unsigned(10), None), body[: min(length, 20)])


def test_of_a_repeated_trailer_the_last_counts() -> None:
    decoder = ChunkDecoder(unsigned(0), None)
    decode(decoder, b"0\r\na:1\r\nA: 2\r\n\r\n")
    assert decoder.trailers == {"a": "2"}


@pytest.mark.parametrize(("size", "provided"), [(4, 10), (11, 10)])
def test_more_or_less_than_was_declared_is_told_in_numbers(size: int, provided: int) -> None:
    with pytest.raises(WrongLength) as wrong:
        decode(ChunkDecoder(unsigned(size), None), b"a\r\nhelloworld\r\n0\r\n\r\n")
    assert (wrong.value.expected_bytes, wrong.value.provided_bytes) == (size, provided)


def test_a_small_chunk_that_is_not_the_last_is_told_with_its_size() -> None:
    first = example((PLAIN[1][0], PLAIN[1][1], PLAIN[1][2])).rpartition(b"0;")[0]
    with pytest.raises(ChunkTooSmall) as small:
        decode(ChunkDecoder(signed(size=None), seal(PLAIN[0])), first + b"2;chunk-signature=x\r\n")
    assert (small.value.number, small.value.size_bytes) == (3, 1024)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (b"%x ; chunk-signature = %b \r\n", None),
        (b"%x;extra=1;chunk-signature=%b\r\n", SignatureRefused),
        (b"%x;chunk-signature=%b;extra=1\r\n", MalformedChunk),
        (b"%x;chunk-signature=\r\n%.0b", MalformedChunk),
    ],
)
def test_a_chunks_line_may_have_spaces_but_nothing_beside_its_signature(
    line: bytes, refused: type[Exception] | None
) -> None:
    first, second, last = (signature.encode() for signature in PLAIN[1])
    body = (
        line % (65536, first) + b"a" * 65536 + b"\r\n" + line % (1024, second) + b"a" * 1024 + b"\r\n"
        b"0;chunk-signature=" + last + b"\r\n\r\n"
    )
    decoder = ChunkDecoder(signed(), seal(PLAIN[0]))
    if refused is None:
        assert decode(decoder, body) == b"a" * SIZE
        return
    with pytest.raises(refused):
        decode(decoder, body)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"5_0\r\n",
        b"fffffffffffff\r\n",
        b"5\r\nhelloX\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello\n0\r\n",
        b"0\r\na:1\r\n\r\nmore",
        b"a" * 2000,
        b"0\r\n" + b"".join(b"x%d:" % number + b"v" * 900 + b"\r\n" for number in range(20)),
    ],
)
def test_broken_framing_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedChunk):
        decode(ChunkDecoder(unsigned(), None), body)


def test_a_chunk_without_its_signature_is_malformed() -> None:
    with pytest.raises(MalformedChunk):
        decode(ChunkDecoder(signed(), seal("0" * 64)), b"5\r\nhello\r\n")


def test_more_than_declared_is_refused_before_it_is_passed_on() -> None:
    decoder = ChunkDecoder(unsigned(4), None)
    with pytest.raises(IncompleteBody):
        decoder.feed(b"5\r\nhello\r\n")


def test_only_the_last_signed_chunk_may_be_small() -> None:
    previous, body = "0" * 64, b""
    for chunk in (b"small", b"large" * 3000):
        to_sign = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{DATE}\n{SCOPE}\n{previous}\n"
            f"{sha256(b'').hexdigest()}\n{sha256(chunk).hexdigest()}"
        )
        previous = hmac.digest(KEY, to_sign.encode(), "sha256").hex()
        body += b"%x;chunk-signature=%b\r\n%b\r\n" % (len(chunk), previous.encode(), chunk)
    with pytest.raises(ChunkTooSmall):
        decode(ChunkDecoder(signed(size=None), seal("0" * 64)), body)


def test_payload_is_passed_on_without_a_copy() -> None:
    body = bytearray(b"5\r\nhello\r\n0\r\n\r\n")
    (span,) = ChunkDecoder(unsigned(5), None).feed(body)
    body[3] = ord("J")
    assert bytes(span) == b"Jello"
