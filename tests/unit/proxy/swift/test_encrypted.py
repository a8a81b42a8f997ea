"""What Swift's clients are told of objects that are encrypted and cannot be opened."""

import pytest

from model.errors import CustomerKeyNeeded, Encrypted, MasterKeyDisabled, MasterKeyLost, NoSuchMasterKey
from proxy.swift.errors import error_response


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (CustomerKeyNeeded(), 403, b"own key"),
        (NoSuchMasterKey("lab-42"), 403, b"lab-42"),
        (MasterKeyDisabled("lab-42"), 503, b"disabled"),
        (MasterKeyLost("version 1 of key 'lab-42' is not in the colony any more"), 503, b"version 1"),
    ],
)
def test_the_answer_says_which_key_is_missing(error: Encrypted, status: int, word: bytes) -> None:
    response = error_response(error)
    assert response.status == status
    assert isinstance(response.body, bytes)
    assert word in response.body
    assert ("Content-Type", "text/plain; charset=UTF-8") in response.headers
