"""Wrapped data keys open under their key, for their object, and nowhere else."""

import pytest

from model.errors import CorruptRecord
from model.names import ObjectPath
from proxy.encryption.sealed import Mode, Sealed, binding, pack_sealed, sealed_of
from proxy.encryption.wrapping import WrongKey, unwrap, version_of, wrap

OUTER, DATA_KEY = b"o" * 32, b"d" * 32
VERSION, SALT = b"v" * 8, b"s" * 32
PATH = ObjectPath("account", "bucket", "key")
BOUND = binding(PATH, Mode.KMS, "k", "{}")


def test_a_key_comes_back_from_its_wrapping() -> None:
    wrapped = wrap(OUTER, DATA_KEY, BOUND, version=VERSION, salt=SALT)
    assert DATA_KEY not in wrapped
    assert version_of(wrapped) == VERSION
    assert unwrap(OUTER, wrapped, BOUND) == DATA_KEY


@pytest.mark.parametrize(
    "bound",
    [
        binding(ObjectPath("account", "bucket", "other"), Mode.KMS, "k", "{}"),
        binding(ObjectPath("account", "bucketkey", ""), Mode.KMS, "k", "{}"),
        binding(PATH, Mode.OWN, "k", "{}"),
        binding(PATH, Mode.KMS, "k2", "{}"),
        binding(PATH, Mode.KMS, "k", '{"a":"b"}'),
    ],
)
def test_a_wrapping_put_into_another_record_does_not_open(bound: bytes) -> None:
    with pytest.raises(WrongKey):
        unwrap(OUTER, wrap(OUTER, DATA_KEY, BOUND, version=VERSION, salt=SALT), bound)


def test_no_altered_wrapping_opens() -> None:
    wrapped = wrap(OUTER, DATA_KEY, BOUND, version=VERSION, salt=SALT)
    with pytest.raises(WrongKey):
        unwrap(b"x" * 32, wrapped, BOUND)
    for at in range(1, len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 1
        with pytest.raises(WrongKey):
            unwrap(OUTER, bytes(altered), BOUND)
    for broken in (wrapped[:-1], b"", b"\x02" + wrapped[1:]):
        with pytest.raises(CorruptRecord):
            unwrap(OUTER, broken, BOUND)


def test_one_key_is_never_wrapped_alike_under_two_salts() -> None:
    one = wrap(OUTER, DATA_KEY, BOUND, version=VERSION, salt=SALT)
    two = wrap(OUTER, DATA_KEY, BOUND, version=VERSION, salt=b"t" * 32)
    assert one[-48:] != two[-48:]


def test_what_a_record_keeps_of_its_encryption_comes_back() -> None:
    sealed = Sealed(Mode.KMS, "k", b"w", 4096, '{"a":"b"}', bucket_key=True)
    assert sealed_of({"sse": pack_sealed(sealed), "other": 1}) == sealed
    assert sealed_of({}) is None


@pytest.mark.parametrize(
    "held", [{}, [], 1, {"v": 2}, {**pack_sealed(Sealed(Mode.OWN, "k", b"w")), "mode": "?"}]
)
def test_an_unknown_form_is_never_taken_for_a_plain_object(held: object) -> None:
    with pytest.raises(CorruptRecord):
        sealed_of({"sse": held})
