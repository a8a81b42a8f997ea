"""Spoilt requests for as long as one likes: no error of the server's own, no hang, no growth.

COLONNADE_FUZZ_SECONDS says for how long (8 by default), COLONNADE_FUZZ_SEED from which seed; what fails
prints its request and its seed.
"""

import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import swiftclient

from model.errors import ColonnadeError
from proxy.auth import sigv2, sigv4
from proxy.auth.aws_chunked import ChunkDecoder, Framing, Signing, Trailer
from proxy.auth.policy import MalformedPolicy
from proxy.auth.policy import parse_policy as parse_bucket_policy
from proxy.auth.post_policy import check_policy, parse_policy
from proxy.auth.query import canonical_path, parse_query
from proxy.conditions import read_conditions
from proxy.http.chunked import ChunkedDecoder
from proxy.http.heads import BadHead, parse_head
from proxy.http.messages import Headers
from proxy.ranges import parse_range
from proxy.s3 import acl, cors, lifecycle_xml, tags, xml_read
from proxy.s3.post_form import FormParser, read_boundary
from tests.api.fuzz_seeds import BODIES, FORM_POLICY, FRAMINGS, TARGETS, Seed, policy
from tests.api.test_bad_input import Crafted, Target
from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony
from tests.support.memory import anonymous_bytes
from tests.support.mutation import Mutator

SECONDS = float(os.environ.get("COLONNADE_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("COLONNADE_FUZZ_SEED", str(time.time_ns())))
pytestmark = pytest.mark.timeout(2 * SECONDS + 120)

PARSERS_SHARE = 0.25
"""How much of the time is the parsers' alone, without a server."""
WARM_REQUESTS = 200
GROWTH_BYTES_MAX = 48 << 20
RESET_REQUESTS = 150
PARSE_S_MAX = 2.0

HEAD = (
    b"PUT /fuzz/k?a=b%20c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Amz-Meta-A: b\r\n"
    b"Expect: 100-continue\r\n\r\n"
)
CHUNKED = b"5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"
CLAIM = (
    b"AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=" + b"a" * 64
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _chunked(data: bytes) -> None:
    ChunkedDecoder().feed(memoryview(data))


def _aws_chunked(data: bytes) -> None:
    decoder = ChunkDecoder(Framing(Signing.UNSIGNED, Trailer.ALLOWED, 5), None)
    decoder.feed(data)
    decoder.finish()


def _form(data: bytes) -> None:
    parser = FormParser(b"x")
    parser.feed(data[:40])
    parser.feed(data[40:])
    parser.finish()


def _form_policy(data: bytes) -> None:
    check_policy(parse_policy(b64encode(data).decode()), {"bucket": "fuzz", "key": "k"}, 0)


def _claims(data: bytes) -> None:
    headers = Headers(
        [
            ("authorization", _text(data)),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-content-sha256", "a" * 64),
        ]
    )
    sigv2.read_claim((), headers)
    sigv4.read_claim((), headers)


def _presigned(data: bytes) -> None:
    pairs = parse_query(_text(data))
    sigv2.read_claim(pairs, Headers())
    sigv4.read_claim(pairs, Headers())


def _conditions(data: bytes) -> None:
    read_conditions(Headers([("if-match", _text(data)), ("if-modified-since", _text(data))]))


PARSERS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "head": (parse_head, [HEAD]),
    "chunked": (_chunked, [CHUNKED]),
    "aws-chunked": (_aws_chunked, [seed.body for seed in FRAMINGS]),
    "form": (_form, [seed.body for seed in BODIES if seed.method == "POST" and not seed.signed]),
    "boundary": (lambda data: read_boundary(_text(data)), [b'multipart/form-data; boundary="x y"']),
    "form policy": (_form_policy, [FORM_POLICY]),
    "bucket policy": (
        lambda data: parse_bucket_policy(data, "fuzz"),
        [policy(), policy(NotAction="s3:*", Condition={})],
    ),
    "xml": (lambda data: xml_read.parse(data, "Delete"), [seed.body for seed in BODIES]),
    "cors": (cors.from_xml, [seed.body for seed in BODIES if "cors" in seed.target]),
    "tags": (tags.from_xml, [seed.body for seed in BODIES if "tagging" in seed.target]),
    "tag header": (lambda data: tags.from_header(_text(data)), [b"a=b&c=d%20e"]),
    "acl": (lambda data: acl.from_xml(data, "o"), [seed.body for seed in BODIES if "acl" in seed.target]),
    "lifecycle": (
        lambda data: lifecycle_xml.read(data, lambda: "i"),
        [seed.body for seed in BODIES if "lifecycle" in seed.target],
    ),
    "claims": (_claims, [CLAIM, b"AWS key:signature"]),
    "presigned": (
        _presigned,
        [
            b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260101/r/s3/aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=b",
            b"AWSAccessKeyId=a&Expires=1&Signature=b",
        ],
    ),
    "range": (lambda data: parse_range(_text(data)), [b"bytes=0-1,5-,-7"]),
    "path": (lambda data: canonical_path(_text(data)), [b"/a%20b/%C3%A9"]),
    "conditions": (_conditions, [b'"a", W/"b"', b"Tue, 07 Jul 2020 21:53:04 GMT"]),
}
"""What reads a client's bytes, and valid bytes for it."""


def test_no_bytes_break_a_parser_or_keep_it_busy() -> None:
    mutator = Mutator(SEED)
    end_s = time.monotonic() + SECONDS * PARSERS_SHARE
    count = 0
    while time.monotonic() < end_s:
        name = mutator.chance.choice(list(PARSERS))
        parse, valid = PARSERS[name]
        data = mutator.spoil(mutator.chance.choice(valid))
        started_s = time.process_time()
        try:
            with suppress(ColonnadeError, BadHead, MalformedPolicy):
                parse(data)
        except Exception as error:
            raise AssertionError(f"{name} of {data!r} (seed {SEED})") from error
        assert time.process_time() - started_s < PARSE_S_MAX, f"{name} of {data!r} (seed {SEED})"
        count += 1
    assert count


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Target]:
    """A colony of one worker, whose memory nobody else uses."""
    with Colony(tmp_path_factory.mktemp("fuzz") / "data", workers=1) as colony:
        s3 = client_of(colony)
        s3.create_bucket(Bucket="fuzz")
        s3.put_object(Bucket="fuzz", Key="key", Body=b"bytes")
        swift = swiftclient.Connection(colony.swift_auth, colony.swift_user, colony.swift_key)
        swift.put_container("c")
        yield Target(colony)


def crafted_of(seed: Seed, mutator: Mutator) -> Crafted:
    """Return a request with what its kind is about spoilt."""
    target, headers, body = seed.target, dict(seed.headers), seed.body
    if seed in TARGETS and headers and mutator.chance.random() < 0.7:
        name = mutator.chance.choice(list(headers))
        spoilt = mutator.spoil(headers[name].encode())
        headers[name] = _text(spoilt.translate(None, bytes(range(32)) + b"\x7f"))
    elif seed in TARGETS:
        spoilt = mutator.spoil(target[1:].encode()).translate(None, bytes(range(33)) + b"\x7f#")
        target = "/" + _text(spoilt)
    else:
        body = mutator.spoil(body)
    path, _, query = target.partition("?")
    return Crafted(seed.method, path, query, headers, body, seed.payload, seed.signed)


def exchange_one(target: Target, mutator: Mutator) -> tuple[object, int]:
    """Send one spoilt request; return it and the status of its answer, 0 for none where none is due."""
    if mutator.chance.random() < 0.15:
        sent = mutator.spoil(HEAD) + mutator.chance.choice((b"hello", CHUNKED, b""))
        return sent, target.exchange(sent, ends=True) or 400
    crafted = crafted_of(mutator.chance.choice((*BODIES, *FRAMINGS, *TARGETS)), mutator)
    return crafted, target.send(crafted)


def reset(target: Target) -> None:
    """Undo what spoilt requests have set, so that later ones get as far as the first."""
    for query in (
        "policy",
        "cors",
        "lifecycle",
        "encryption",
        "publicAccessBlock",
        "ownershipControls",
        "tagging",
    ):
        target.send(Crafted("DELETE", "/fuzz", query, {}, b"", "UNSIGNED-PAYLOAD", signed=True))
    target.send(Crafted("PUT", "/fuzz/key", "", {}, b"bytes", "UNSIGNED-PAYLOAD", signed=True))


def test_no_spoilt_request_is_the_servers_fault_or_stays_in_memory(target: Target) -> None:
    mutator = Mutator(SEED)
    pids = {role: list(found) for role, found in target.colony.pids.items()}
    watched = [pid for role, found in pids.items() if role != "supervisor" for pid in found]
    end_s = time.monotonic() + SECONDS * (1 - PARSERS_SHARE)
    before: dict[int, int] = {}
    count = 0
    while time.monotonic() < end_s or count <= WARM_REQUESTS:
        if count == WARM_REQUESTS:
            before = {pid: anonymous_bytes(pid) for pid in watched}
        request, status = exchange_one(target, mutator)
        assert 200 <= status < 500 or status in (501, 505), f"{status} to {request!r} (seed {SEED})"
        count += 1
        if not count % RESET_REQUESTS:
            reset(target)
    assert {role: list(found) for role, found in target.colony.pids.items()} == pids
    grown = {pid: anonymous_bytes(pid) - was for pid, was in before.items()}
    assert max(grown.values()) < GROWTH_BYTES_MAX, (
        f"bytes by which processes grew in {count} requests: {grown}"
    )
    s3 = client_of(target.colony)
    s3.create_bucket(Bucket="after")
    s3.put_object(Bucket="after", Key="key", Body=b"bytes")
    assert s3.get_object(Bucket="after", Key="key")["Body"].read() == b"bytes"
