"""Tokens of Swift's TempAuth: signed, stateless, verified without asking anybody. Pure.

A token is `AUTH_tk` and the URL-safe base64 of a version byte, the second it expires, the user's
generation, the user's mark of birth and id, and a keyed BLAKE2b over all of these. What a token
says is believed only together with the user as the directory knows it: a removed, disabled or
changed user has another generation.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

TOKEN_PREFIX: Final = "AUTH_tk"
TOKEN_LIFE_S: Final = 86_400
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BIIB")
_MAC_BYTES: Final = 20
_TOKEN_LENGTH_MAX: Final = 1024
_VERIFIED_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says: the user's id, its generation and birth, and when the token ends."""

    user_id: str
    generation: int
    born: str
    expires_s: int

    def fits(self, generation: int, born: str) -> bool:
        """Return whether the token is of a user as the directory knows it."""
        return self.generation == generation and self.born == born


class TokenMint:
    """Issues and verifies tokens under one key of 32 bytes, derived from the cluster key.

    Verified tokens are remembered, so a token costs one look-up after its first use.
    """

    def __init__(self, key: bytes, *, verified_max: int = _VERIFIED_MAX) -> None:
        self._key = key
        self._verified: dict[str, Token] = {}
        self._verified_max = verified_max

    def issue(self, token: Token) -> str:
        """Return the text of a token."""
        born = token.born.encode()
        head = _HEAD.pack(_VERSION, token.expires_s, token.generation, len(born))
        said = head + born + token.user_id.encode("utf-8", "surrogateescape")
        return TOKEN_PREFIX + urlsafe_b64encode(self._mac(said) + said).rstrip(b"=").decode()

    def verify(self, text: str, now_s: float) -> Token | None:
        """Return what a token says, or None for one that is forged, expired or not a token."""
        token = self._verified.get(text)
        if token is None:
            token = self._read(text)
            if token is None:
                return None
            if len(self._verified) >= self._verified_max:
                del self._verified[next(iter(self._verified))]
            self._verified[text] = token
        return token if now_s < token.expires_s else None

    def _read(self, text: str) -> Token | None:
        if not text.startswith(TOKEN_PREFIX) or len(text) > _TOKEN_LENGTH_MAX:
            return None
        packed = text[len(TOKEN_PREFIX) :]
        try:
            raw = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        except ValueError:
            return None
        mac, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if len(said) < _HEAD.size or not hmac.compare_digest(mac, self._mac(said)):
            return None
        version, expires_s, generation, born_bytes = _HEAD.unpack_from(said)
        if version != _VERSION:
            return None
        end = _HEAD.size + born_bytes
        user_id = said[end:].decode("utf-8", "surrogateescape")
        return Token(user_id, generation, said[_HEAD.size : end].decode(), expires_s)

    def _mac(self, said: bytes) -> bytes:
        return hashlib.blake2b(said, key=self._key, digest_size=_MAC_BYTES).digest()
