"""The handshake: both sides prove the key, and nothing in it can be changed on the way."""

from __future__ import annotations

import pytest

from kit import handshake
from kit.handshake import HandshakeError

KEY, OTHER_KEY = bytes(32), bytes(range(32))
HELLO = handshake.encode_greeting("proxy-1", b"c" * 32)
CHALLENGE = handshake.encode_greeting("objectd", b"s" * 32)


def test_proofs_depend_on_key_side_and_every_byte_of_both_messages() -> None:
    proofs = {
        handshake.client_proof(KEY, HELLO, CHALLENGE),
        handshake.server_proof(KEY, HELLO, CHALLENGE),
        handshake.client_proof(OTHER_KEY, HELLO, CHALLENGE),
        handshake.client_proof(KEY, handshake.encode_greeting("proxy-2", b"c" * 32), CHALLENGE),
        handshake.client_proof(KEY, HELLO, handshake.encode_greeting("objectd", b"t" * 32)),
        handshake.client_proof(KEY, handshake.encode_greeting("proxy-1", b"c" * 32, (0, 1)), CHALLENGE),
        handshake.client_proof(KEY, HELLO + CHALLENGE[:1], CHALLENGE[1:]),
    }
    assert len(proofs) == 7


def test_a_wrong_proof_is_refused() -> None:
    good = handshake.client_proof(KEY, HELLO, CHALLENGE)
    handshake.check_proof(good, good)
    for wrong in (b"", good[:-1], bytes(32)):
        with pytest.raises(HandshakeError, match="keys differ"):
            handshake.check_proof(good, wrong)


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 3), (2, 5), 3),
        ((2, 5), (1, 3), 3),
        ((1, 1), (2, 3), None),
        ((4, 5), (1, 3), None),
    ],
)
def test_the_highest_common_version_is_agreed(
    ours: tuple[int, int], theirs: tuple[int, int], agreed: int | None
) -> None:
    greeting = handshake.decode_greeting(handshake.encode_greeting("n", bytes(32), theirs))
    if agreed is None:
        with pytest.raises(HandshakeError, match="versions"):
            handshake.agree_version(ours, greeting)
    else:
        assert handshake.agree_version(ours, greeting) == agreed


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x94\x01\x01\xa1n\xc4\x01x", HELLO[:-1], b"\x01"])
def test_malformed_greetings_are_refused(body: bytes) -> None:
    with pytest.raises(HandshakeError, match="malformed"):
        handshake.decode_greeting(body)


def test_a_key_has_32_bytes() -> None:
    assert handshake.check_key(KEY) == KEY
    with pytest.raises(ValueError, match="32 bytes"):
        handshake.check_key(b"short")
