"""The aws-chunked framing of request bodies, decoded incrementally. Pure.

    signed chunk     SIZE;chunk-signature=SIG CRLF bytes CRLF
    unsigned chunk   SIZE CRLF bytes CRLF
    end              0[;chunk-signature=SIG] CRLF [trailer lines] CRLF

SIZE is hexadecimal. A trailer line is `name:value`; with signed trailers the last one is
`x-amz-trailer-signature:SIG`. Bytes are passed on as they arrive, as views of what was fed; the
signature of a chunk is checked at its end, so a consumer must not keep anything before `finish`.

Source: AWS, "Signature calculations for the Authorization header: transferring payload in multiple
chunks", with and without trailing headers, of the Amazon S3 API reference.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from model.errors import BadRequest, IncompleteBody
from proxy.auth.sigv4 import Seal, signature_mismatch

LINE_BYTES_MAX: Final = 1024
TRAILER_BYTES_MAX: Final = 8192
SIZE_DIGITS_MAX: Final = 12
SIGNED_CHUNK_BYTES_MIN: Final = 8192
"""All signed chunks but the last have at least so many bytes, as AWS demands."""

_EMPTY_HASH: Final = sha256(b"").hexdigest()
_SIGNATURE: Final = b"chunk-signature"
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"

Buffer = bytes | bytearray | memoryview


class Signing(Enum):
    """Whether chunks carry signatures."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"


class Trailer(Enum):
    """Whether a trailer may follow the last chunk."""

    NONE = "none"
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body is framed. `decoded_bytes` is x-amz-decoded-content-length, None where not sent."""

    signing: Signing
    trailer: Trailer
    decoded_bytes: int | None = None


class MalformedChunk(BadRequest):
    """The framing is broken."""


class ChunkTooSmall(BadRequest):
    """A signed chunk that is not the last one is smaller than SIGNED_CHUNK_BYTES_MIN.

    `number` is that of the chunk after it, counted from 1, as AWS tells it.
    """

    def __init__(self, number: int, size_bytes: int) -> None:
        super().__init__(
            f"Only the last chunk is allowed to have a size less than {SIGNED_CHUNK_BYTES_MIN} bytes"
        )
        self.number = number
        self.size_bytes = size_bytes


class WrongLength(IncompleteBody):
    """The chunks hold more, or have ended with less, than was declared."""

    def __init__(self, expected_bytes: int, provided_bytes: int) -> None:
        super().__init__(f"the body has {provided_bytes} of {expected_bytes} bytes")
        self.expected_bytes = expected_bytes
        self.provided_bytes = provided_bytes


class _State(Enum):
    HEAD = "the line before a chunk"
    DATA = "bytes of a chunk"
    DATA_END = "the CRLF after a chunk's bytes"
    TRAILER = "lines after the last chunk"
    DONE = "nothing more"


class ChunkDecoder:
    """Decodes one body.

    `seal` is the accepted signature of the request's headers, needed where chunks are signed.
    `trailers` holds the trailer fields (lower-case names) once `finish` has been called.
    """

    def __init__(self, framing: Framing, seal: Seal | None) -> None:
        self._framing = framing
        self._signer = None
        if framing.signing is Signing.SIGNED:
            if seal is None:
                raise AssertionError("signed chunks need the seal of their request")
            self._signer = _Signer(seal)
        self._state = _State.HEAD
        self._line = bytearray()
        self._left_bytes = 0
        self._decoded_bytes = 0
        self._trailer_bytes = 0
        self._chunk_count = 0
        self._chunk_bytes = 0
        self.trailers: dict[str, str] = {}

    def feed(self, data: Buffer) -> list[memoryview]:
        """Return the payload found in the next bytes of the body, as views of them.

        Raises MalformedChunk, ChunkTooSmall, SignatureRefused, or WrongLength where more arrives than
        was declared, or the last chunk leaves less.
        """
        view = memoryview(data)
        spans: list[memoryview] = []
        at, end = 0, len(view)
        while at < end:
            if self._state is _State.DATA:
                span = view[at : at + self._left_bytes]
                at += len(span)
                self._left_bytes -= len(span)
                if self._signer is not None:
                    self._signer.update(span)
                spans.append(span)
                if not self._left_bytes:
                    self._state = _State.DATA_END
            elif self._state is _State.DONE:
                raise MalformedChunk("bytes follow the last chunk")
            else:
                at = self._take_line(view, at)
        return spans

    def finish(self) -> None:
        """Say that the body has ended. Raises IncompleteBody where it is not whole."""
        if self._state is _State.TRAILER:
            # Some clients leave out the empty line that ends the body, or the last line's end.
            if self._line:
                self._take_trailer(bytes(self._line).removesuffix(b"\r"))
            self._end_trailer()
        declared = self._framing.decoded_bytes
        if self._state is not _State.DONE or (declared is not None and self._decoded_bytes != declared):
            raise IncompleteBody("the body ends before its last chunk")

    def _take_line(self, view: memoryview, at: int) -> int:
        """Collect one line, act on it when it is whole, and return where the next byte is."""
        window = bytes(view[at : at + LINE_BYTES_MAX + 2])
        newline = window.find(b"\n")
        taken = window if newline < 0 else window[: newline + 1]
        self._line += taken
        if len(self._line) > LINE_BYTES_MAX + 2:
            raise MalformedChunk("a line of the framing is too long")
        if newline >= 0:
            if not self._line.endswith(b"\r\n"):
                raise MalformedChunk("a line of the framing does not end in CR LF")
            line = bytes(self._line[:-2])
            self._line.clear()
            self._act(line)
        return at + len(taken)

    def _act(self, line: bytes) -> None:
        if self._state is _State.HEAD:
            self._start_chunk(line)
        elif self._state is _State.DATA_END:
            if line:
                raise MalformedChunk("a chunk is longer than its size")
            if self._signer is not None:
                self._signer.end_chunk()
            self._state = _State.HEAD
        elif line:
            self._take_trailer(line)
        elif self.trailers or self._framing.trailer is Trailer.NONE:
            self._end_trailer()

    def _start_chunk(self, line: bytes) -> None:
        digits, _, extension = line.partition(b";")
        digits = digits.rstrip(b" \t")
        if not digits or len(digits) > SIZE_DIGITS_MAX or digits.strip(b"0123456789abcdefABCDEF"):
            raise MalformedChunk("a chunk's size is not a hexadecimal number")
        size = int(digits, 16)
        if self._signer is not None:
            self._signer.start_chunk(_signature(extension))
            self._chunk_count += 1
            if size and self._chunk_count > 1 and self._chunk_bytes < SIGNED_CHUNK_BYTES_MIN:
                raise ChunkTooSmall(self._chunk_count, self._chunk_bytes)
            self._chunk_bytes = size
        declared = self._framing.decoded_bytes
        if not size:
            if self._signer is not None:
                self._signer.end_chunk()
            if declared is not None and self._decoded_bytes < declared:
                raise WrongLength(declared, self._decoded_bytes)
            self._state = _State.TRAILER
            return
        self._decoded_bytes += size
        if declared is not None and self._decoded_bytes > declared:
            raise WrongLength(declared, self._decoded_bytes)
        self._left_bytes = size
        self._state = _State.DATA

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if self._framing.trailer is Trailer.NONE or not colon or not name:
            raise MalformedChunk("what follows the last chunk is not a trailer")
        if self._trailer_bytes > TRAILER_BYTES_MAX:
            raise MalformedChunk("the trailer is too long")
        # Of a field that is repeated the last counts, as at AWS.
        self.trailers[name.strip().lower()] = value.strip()

    def _end_trailer(self) -> None:
        signature = self.trailers.pop(_TRAILER_SIGNATURE, None)
        if self._signer is not None and self._framing.trailer is Trailer.ALLOWED:
            if self.trailers and signature is None:
                raise MalformedChunk("the trailer lacks its signature")
            if signature is not None:
                self._signer.check_trailer(self.trailers, signature)
        self._state = _State.DONE


def _signature(extension: bytes) -> bytes:
    """Return the signature that a chunk's line carries; one under another name is none that holds."""
    first, semicolon, _ = extension.partition(b";")
    name, _, value = first.partition(b"=")
    if name and name.strip() != _SIGNATURE:
        return b""
    if semicolon or not value.strip():
        raise MalformedChunk("a chunk lacks its signature, or has more beside it")
    return value.strip()


class _Signer:
    """The chain of signatures of one body: each continues the one before."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._key = seal.signing_key
        self._previous = seal.signature
        self._head = f"{seal.amz_date}\n{seal.scope_text}\n"
        self._claimed = ""
        self._hash = sha256()

    def start_chunk(self, claimed: bytes) -> None:
        self._claimed = claimed.decode("ascii", "replace")
        self._hash = sha256()

    def update(self, span: memoryview) -> None:
        self._hash.update(span)

    def end_chunk(self) -> None:
        self._check(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._head}{self._previous}\n{_EMPTY_HASH}\n{self._hash.hexdigest()}",
            self._claimed,
        )

    def check_trailer(self, trailers: dict[str, str], claimed: str) -> None:
        """The trailer is signed as `name:value LF` for each field, in order of name."""
        text = "".join([f"{name}:{trailers[name]}\n" for name in sorted(trailers)])
        digest = sha256(text.encode()).hexdigest()
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._head}{self._previous}\n{digest}", claimed)

    def _check(self, to_sign: str, claimed: str) -> None:
        computed = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(computed.encode(), claimed.encode("utf-8", "replace")):
            canonical = self._seal.canonical
            raise signature_mismatch(
                self._seal.access_key_id,
                to_sign,
                claimed,
                CanonicalRequest=canonical,
                CanonicalRequestBytes=canonical.encode("utf-8", "surrogateescape").hex(" "),
            )
        self._previous = computed
