"""The body of an upload: unframed, measured, and checked against everything the client said of it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import md5
from typing import Final

from model.errors import BadRequest, IncompleteBody
from proxy import checksums
from proxy.auth.aws_chunked import ChunkDecoder, Framing, Signing, Trailer
from proxy.auth.sigv4 import Payload, Seal
from proxy.http.messages import BodyStream, Buffer, Headers
from proxy.operations.types import Digests
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, to_s3, wrong_length

_FRAMED: Final = {
    Payload.CHUNKS_SIGNED: (Signing.SIGNED, Trailer.NONE),
    Payload.CHUNKS_SIGNED_TRAILER: (Signing.SIGNED, Trailer.ALLOWED),
    Payload.CHUNKS_UNSIGNED_TRAILER: (Signing.UNSIGNED, Trailer.ALLOWED),
}
_DEFAULT: Final = (checksums.CRC64NVME,)
"""What is computed where a client names no algorithm: at 60 GB/s it costs next to nothing."""
_CHECKSUM_NAMES: Final = {name.lower() for name in checksums.BYTES} | {"algorithm", "mode", "type"}
_SINGLE: Final = "Expecting a single x-amz-checksum- header"
_SINGLE_OF_TYPES: Final = f"{_SINGLE}. Multiple checksum Types are not allowed."
_SHA256_TOO: Final = {name: tuple(dict.fromkeys((name, checksums.SHA256))) for name in checksums.BYTES}


@dataclass(frozen=True, slots=True)
class Upload:
    """A body ready to be stored.

    `algorithms` are to be computed over it, the client's own first; `named` is that one, empty where
    it named none; `verify` checks the results.
    """

    body: BodyStream
    algorithms: tuple[str, ...]
    verify: Callable[[Digests], None]
    named: str


class Stated(Enum):
    """What a checksum header of a request speaks of."""

    BODY = "the body"
    OBJECT = "the object that the request completes"


class FramedBody(BodyStream):
    """The payload of an aws-chunked body."""

    def __init__(self, framed: BodyStream, framing: Framing, seal: Seal | None) -> None:
        self.length = framing.decoded_bytes
        self._framed = framed
        self._decoder = ChunkDecoder(framing, seal)

    @property
    def trailers(self) -> Mapping[str, str]:
        """The trailer fields, once the body has been read to its end."""
        return self._decoder.trailers

    async def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the payload; the framing is checked to its end before the iteration ends."""
        async for data in self._framed.chunks():
            for span in self._decode(data):
                yield span
        try:
            self._decoder.finish()
        except IncompleteBody as error:
            raise S3Error("IncompleteBody") from error

    def _decode(self, data: Buffer) -> list[memoryview]:
        try:
            return self._decoder.feed(data)
        except IncompleteBody as error:
            # All of the body came, but it is not what it says: the client is still there to be told.
            raise to_s3(error) from error

    async def read(self, bytes_max: int) -> Buffer:
        """Return the whole payload. Raises BadRequest where it is longer than `bytes_max`."""
        whole = bytearray()
        async for span in self.chunks():
            whole += span
            if len(whole) > bytes_max:
                raise BadRequest(f"the body is longer than {bytes_max} bytes")
        return whole


class _Promises:
    """What the client said of its body, to be held against what came."""

    __slots__ = ("algorithm", "content_md5", "framed", "length", "payload_hash", "stated", "trailer", "whole")

    def __init__(
        self,
        call: Call,
        framed: FramedBody | None,
        length: int | None,
        stated: Stated = Stated.BODY,
    ) -> None:
        headers = call.request.headers
        self.framed = framed
        self.length = length
        self.content_md5 = _content_md5(headers)
        self.payload_hash = "" if framed is not None else _payload_hash(call)
        # A document of a request comes whole, an object need not.
        self.whole = False
        self.trailer = _declared_trailer(headers)
        self.algorithm = self.stated = ""
        if stated is Stated.BODY:
            self.algorithm, self.stated = _stated_checksum(headers, self.trailer)

    def algorithms(self) -> tuple[str, ...]:
        if self.payload_hash:
            return _SHA256_TOO[self.algorithm or checksums.CRC64NVME]
        return (self.algorithm,) if self.algorithm else _DEFAULT

    def verify(self, digests: Digests) -> None:
        if self.length is not None and digests.size != self.length:
            raise wrong_length(self.length, digests.size)
        if self.payload_hash:
            computed = b64decode(digests.checksums[checksums.SHA256]).hex()
            if computed != self.payload_hash.lower():
                raise S3Error(
                    "XAmzContentSHA256Mismatch",
                    details={
                        "ClientComputedContentSHA256": self.payload_hash,
                        "S3ComputedContentSHA256": computed,
                    },
                )
        if self.content_md5 and self.content_md5.hex() != digests.md5:
            calculated = b64encode(bytes.fromhex(digests.md5)).decode()
            # AWS tells what it expected in hexadecimal for an object, in base64 for a document.
            expected = self.content_md5.hex() if not self.whole else b64encode(self.content_md5).decode()
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                details={"ExpectedDigest": expected, "CalculatedDigest": calculated},
            )
        stated = self.stated
        if self.framed is not None and self.framed.trailers.keys() - {self.trailer}:
            raise S3Error("MalformedTrailerError")
        if self.trailer and self.framed is not None:
            stated = self.framed.trailers.get(self.trailer, "")
            if not stated:
                raise S3Error("MalformedTrailerError")
            if not checksums.well_formed(self.algorithm, stated):
                raise S3Error("InvalidRequest", f"Value for {self.trailer} trailing header is invalid.")
        if stated and stated != digests.checksums[self.algorithm]:
            raise S3Error(
                "BadDigest",
                f"The {self.algorithm} you specified did not match the calculated checksum.",
            )


def read_upload(call: Call, *, bytes_max: int) -> Upload:
    """Return the body of an object or a part as its headers frame it. Raises S3Error."""
    request = call.request
    framed: FramedBody | None = None
    claim = call.claim
    body = request.body
    if claim is not None and claim.payload in _FRAMED:
        body = framed = _unframe(call, claim.payload)
    elif "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise S3Error("MissingContentLength")
    elif claim is None and _framed_of_itself(call):
        body = framed = _unframe(call, Payload.CHUNKS_UNSIGNED_TRAILER)
    if body.length is not None and body.length > bytes_max:
        raise S3Error(
            "EntityTooLarge",
            details={"ProposedSize": str(body.length), "MaxSizeAllowed": str(bytes_max)},
        )
    promises = _Promises(call, framed, body.length)
    if framed is None and "x-amz-trailer" in request.headers:
        # No trailer can follow: the one that is announced will be missing.
        raise S3Error("MalformedTrailerError")
    return Upload(body, promises.algorithms(), promises.verify, promises.algorithm)


def read_unframed(call: Call, body: BodyStream) -> Upload:
    """Return a body that another part of the request carries, held against the request's headers."""
    promises = _Promises(call, None, None)
    return Upload(body, promises.algorithms(), promises.verify, promises.algorithm)


async def read_whole(call: Call, bytes_max: int, stated: Stated = Stated.BODY) -> bytes:
    """Return a request's whole body (XML), checked as an upload is. Raises S3Error."""
    claim = call.claim
    framed: FramedBody | None = None
    body = call.request.body
    if claim is not None and claim.payload in _FRAMED:
        body = framed = _unframe(call, claim.payload)
    try:
        whole = bytes(await body.read(bytes_max))
    except BadRequest as error:
        raise S3Error("MaxMessageLengthExceeded") from error
    promises = _Promises(call, framed, None, stated)
    promises.whole = True
    wanted = promises.algorithms()
    computed = {name: checksums.checksum(name, whole) for name in wanted}
    digest = md5(whole, usedforsecurity=False).hexdigest() if promises.content_md5 else ""
    promises.verify(Digests(digest, len(whole), computed))
    return whole


def require_digest(headers: Headers) -> None:
    """Refuse a request whose body nothing in its headers holds against change. Raises S3Error."""
    if "content-md5" in headers or "x-amz-trailer" in headers:
        return
    if not any(name in headers for name in checksums.HEADERS):
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )


def _unframe(call: Call, payload: Payload) -> FramedBody:
    headers = call.request.headers
    text = headers.get("x-amz-decoded-content-length")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise S3Error("MissingContentLength")
    signing, trailer = _FRAMED[payload]
    return FramedBody(call.request.body, Framing(signing, trailer, int(text)), call.seal)


def _framed_of_itself(call: Call) -> bool:
    """Whether a request that no signature of version 4 vouches for says of its body that it is framed."""
    headers = call.request.headers
    if "aws-chunked" not in headers.get("content-encoding"):
        return False
    return call.user is None or "x-amz-content-sha256" not in headers


def _payload_hash(call: Call) -> str:
    """Return the SHA-256 that a request gives of its body, as it was sent, or nothing."""
    claim = call.claim
    if claim is not None:
        return claim.payload_hash if claim.payload is Payload.SHA256 else ""
    said = call.request.headers.get("x-amz-content-sha256")
    return "" if said == Payload.UNSIGNED.value else said


def _content_md5(headers: Headers) -> bytes:
    if "content-md5" not in headers:
        return b""
    said = headers["content-md5"].strip()
    try:
        digest = b64decode(said, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest", details={"Content-MD5": said})
    return digest


def _declared_trailer(headers: Headers) -> str:
    """Return the name of the checksum that the trailer will carry, or nothing."""
    names = [name.strip() for name in headers.get("x-amz-trailer").lower().split(",") if name.strip()]
    if not names:
        return ""
    if not checksums.HEADERS.keys() >= set(names):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    if len(names) > 1:
        raise S3Error("InvalidRequest", _SINGLE_OF_TYPES)
    return names[0]


def _stated_checksum(headers: Headers, trailer: str) -> tuple[str, str]:
    """Return the algorithm a client chose, and its value where a header states it."""
    stated = [(name, headers[name]) for name in checksums.HEADERS if name in headers]
    if len(stated) + bool(trailer) > 1:
        raise S3Error(
            "InvalidRequest",
            _SINGLE_OF_TYPES if len(stated) != 1 else _SINGLE,
        )
    if headers.starting("x-amz-checksum-").keys() - _CHECKSUM_NAMES:
        # Nobody may believe a checksum held that was not looked at.
        raise S3Error(
            "InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid."
        )
    chosen = stated[0][0] if stated else trailer
    named = headers.get("x-amz-sdk-checksum-algorithm")
    if named and not chosen and named.upper() in checksums.BYTES:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.",
        )
    if chosen and named and named.upper() != checksums.HEADERS[chosen]:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if stated:
        name, value = stated[0]
        _check_form(checksums.HEADERS[name], name, value)
        return checksums.HEADERS[name], value
    if trailer:
        return checksums.HEADERS[trailer], ""
    return named_algorithm(headers), ""


def named_algorithm(headers: Headers) -> str:
    """Return the algorithm that a header names without a value, or nothing. Raises S3Error."""
    name = headers.get("x-amz-sdk-checksum-algorithm") or headers.get("x-amz-checksum-algorithm")
    if not name:
        return ""
    if name.upper() not in checksums.BYTES:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    return name.upper()


def _check_form(algorithm: str, header: str, value: str) -> None:
    if checksums.well_formed(algorithm, value):
        return
    if len(value) % 4:
        # Text of a length that base64 never has: radosgw says that it does not match, and its suite
        # of tests asks for that; anything else malformed is answered as AWS does.
        raise S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    raise S3Error("InvalidRequest", f"Value for {header} header is invalid.")
