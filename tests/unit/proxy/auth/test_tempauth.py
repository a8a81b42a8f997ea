"""Tokens say what they were issued for, and nothing else is a token."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.tempauth import TOKEN_PREFIX, Token, TokenMint

KEY = b"k" * 32
TOKEN = Token("test:tester", 3, "ab12", 2000)


@given(
    st.builds(
        Token,
        st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=80),
        st.integers(0, 2**32 - 1),
        st.sampled_from(["", "ab12", "0" * 8]),
        st.integers(1, 2**32 - 1),
    )
)
def test_a_token_comes_back_as_it_was_issued(token: Token) -> None:
    mint = TokenMint(KEY)
    text = mint.issue(token)
    assert text.startswith(TOKEN_PREFIX)
    assert TokenMint(KEY).verify(text, token.expires_s - 1) == token
    assert TokenMint(KEY).verify(text, token.expires_s) is None


def test_a_token_known_as_good_still_expires() -> None:
    mint = TokenMint(KEY)
    text = mint.issue(TOKEN)
    assert mint.verify(text, 1999.9) == TOKEN
    assert mint.verify(text, 2000) is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_token_is_forged(position: int, change: int) -> None:
    text = TokenMint(KEY).issue(TOKEN)
    raw = bytearray(text.encode())
    at = len(TOKEN_PREFIX) + position % (len(raw) - len(TOKEN_PREFIX))
    raw[at] ^= change
    changed = raw.decode("latin-1")
    # The last character holds two spare bits, which base64 ignores: the token says the same.
    if TokenMint(KEY).verify(changed, 0) is not None:
        assert TokenMint(KEY).verify(changed, 0) == TOKEN
        assert at == len(raw) - 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AUTH_tk",
        "AUTH_tk!",
        "AUTH_tk" + "A" * 5000,
        "AUTH_tk" + urlsafe_b64encode(b"x" * 30).decode(),
        "x",
    ],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert TokenMint(KEY).verify(text, 0) is None


def test_a_token_of_another_colony_is_forged() -> None:
    assert TokenMint(b"o" * 32).verify(TokenMint(KEY).issue(TOKEN), 0) is None


def test_only_so_many_tokens_are_remembered() -> None:
    mint = TokenMint(KEY, verified_max=3)
    texts = [mint.issue(Token(f"a:u{n}", 1, "", 100)) for n in range(10)]
    assert all(mint.verify(text, 0) for text in texts)
    assert all(mint.verify(text, 0) for text in texts)
