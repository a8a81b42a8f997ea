"""A ring file comes back as it was, or not at all."""

import base64
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ring import loader
from ring.change import changed, first_ring
from ring.errors import (
    RingBusy,
    RingError,
    RingFileDamaged,
    RingFileError,
    RingFormatUnknown,
    RingUntrusted,
)
from ring.meta import PlacementRules
from ring.ringfile import ALIGNMENT, decode, decode_header, encode
from ring.signing import Unchecked, Unsigned
from ring.table import Ring
from tests.unit.ring.topologies import device, regular

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def _ring() -> Ring:
    first = first_ring(
        regular(1, 2, 2, 2),
        part_power=6,
        replicas=3,
        salt=bytes(16),
        rules=PlacementRules(0.1, None, 3),
        created_ms=1000,
    )
    later = first.topology.with_devices([device(8, "r0/z0/h7/d", 2.0)])
    return changed(first, later, created_ms=2000, comment="grown").ring.staged(later.without([0]))


RING = _ring()
SIGNED = encode(RING, KEY)


def _same(one: Ring, other: Ring) -> bool:
    return one.meta == other.meta and bool((one.table == other.table).all()) and one.history == other.history


def test_a_ring_comes_back_as_it_was() -> None:
    """With its staged devices and its history."""
    for trust in ([KEY.public_key()], Unchecked.SIGNED_ONLY, Unchecked.UNSIGNED_TOO):
        back = decode(SIGNED, trust=trust)
        assert _same(back, RING)
        assert [back.homes(p) for p in range(64)] == [RING.homes(p) for p in range(64)]
        previous = back.previous()
        assert previous is not None
        assert previous.digest == back.meta.parent


def test_the_table_is_aligned_and_used_in_place() -> None:
    """So that it can be mapped."""
    assert decode_header(SIGNED).table.offset % ALIGNMENT == 0
    back = decode(SIGNED)
    assert not back.table.flags.owndata


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(position: int, flip: int) -> None:
    """Header, table and history are covered; only unused padding is not."""
    torn = bytearray(SIGNED)
    torn[position] ^= flip
    try:
        back = decode(bytes(torn), trust=[KEY.public_key()])
    except RingFileError:
        return
    assert SIGNED[position] == 0
    assert _same(back, RING)


@given(st.integers(0, len(SIGNED) - 1))
def test_a_torn_file_is_refused(length: int) -> None:
    """However short."""
    with pytest.raises(RingFileError):
        decode(SIGNED[:length])


def test_bytes_after_the_end_are_refused() -> None:
    """A file is exactly as long as it says."""
    with pytest.raises(RingFileDamaged, match="promises"):
        decode(SIGNED + b"\0")


def test_what_is_not_a_ring_is_told_apart_from_a_damaged_one() -> None:
    """Operators mend the two differently."""
    with pytest.raises(RingFormatUnknown, match="not a ring file"):
        decode(b"x" * 4096)
    newer = bytearray(SIGNED)
    newer[8] = 99
    with pytest.raises(RingFormatUnknown, match="format 99"):
        decode(bytes(newer))


def test_a_signature_by_another_key_is_refused() -> None:
    """Also when the file is whole."""
    with pytest.raises(RingUntrusted, match="not trusted"):
        decode(SIGNED, trust=[OTHER_KEY.public_key()])
    assert _same(decode(SIGNED, trust=[OTHER_KEY.public_key(), KEY.public_key()]), RING)


def test_a_forged_signature_is_refused() -> None:
    """A file that names the trusted key but was not signed by it."""
    forged = bytearray(SIGNED)
    forged[40:104] = bytes(64)
    with pytest.raises(RingUntrusted, match="is wrong"):
        decode(bytes(forged), trust=[KEY.public_key()])


def test_an_unsigned_ring_is_refused_unless_asked_for() -> None:
    """No ring is trusted by oversight."""
    unsigned = encode(RING, Unsigned.ACCEPTED)
    for trust in (Unchecked.SIGNED_ONLY, [KEY.public_key()]):
        with pytest.raises(RingUntrusted, match="unsigned"):
            decode(unsigned, trust=trust)
    assert _same(decode(unsigned, trust=Unchecked.UNSIGNED_TOO), RING)


FORMAT_1 = (
    "c-nLJ_wf(%^mAuqU|_fiBwPd;z~F(dd*@VD+nE(x_kI#s^_8RMVYbN&*RJXMowI)geENO0|M{xK5b?tNXR3x-"
    "U*j8>UAvKfy84^eg2>2S@0U;ieYZ#dV}+v0lEr>o?5o|}br>0Nfd1uWsYS(^`FTvM3KEM-"
    ";tTT2Q;V2Z6r~pAWF{vTGc74j%qck{fUa$MN@`hVa%%CEnGB1H3>H-"
    "xEXpuglwxq&{sTmQ!GdLp$t9U(sWTa2@`l*unPBop*yWkQ@|KG-EElC%o_1hBlV6owl$uzQni8K|e3t#fGN2z)^MLLx%RS)u<{)F"
    "S@RV=21?G#yt;h#@GbcYW<+T0InIJH0ZE<p9Nl9u^e0gR{NydRC#i^+&%*&JWb8~?PEKM)UFV9<6T#}fcnsQ)Sab|j6YS9K$GZS;"
    "u#6)vb6EkBIbCcwyC5cHnsZ)+{FhIjc;D`WEso9zZ<&VzvZSIQ@ENoFcqR{`HPiX&wS*Kss)g4dS7da=gilZf}%w$f_>PZKRHUyk"
    "pmXexNl2|-"
    "(I^$X97tBXE1fYhUWi&Y=U>Bj@5@cT?eK&4Lz|)KA9!C@&vSk`RwAAN$Yxj2h!c~2J{~xd}^KX72aN<TmY~lOGKN&{BC>RB!U=)m"
    "kQ7{Td!6+C7qhJ&aM!?L#!~p7?GXhy4Udyty{G!~%62>LDsU?X$u--"
    "W%S-tbgwC<fF_r955z<S>dB=)wKLrsD8x0j?R78D;5tYAz|00Pz|H3c>X1{($rn75Abfu)iXQb2uf1{MI!!d$Z"
)

HOMES_1 = [(0, 2), (1, 0), (1, 2), (0, 1)]
HOMES_2 = [(3, 2), (1, 0), (1, 3), (0, 3)]


def test_files_of_format_1_stay_readable() -> None:
    """A file written by the first release."""
    ring = decode(zlib.decompress(base64.b85decode(FORMAT_1)), trust=[KEY.public_key()])
    assert (ring.version, ring.part_power, ring.replicas, ring.meta.comment) == (2, 2, 2, "grown")
    assert ring.devices[3].path == "r0/z9/h9/d9"
    assert [ring.homes(p) for p in range(4)] == HOMES_2
    previous = ring.previous()
    assert previous is not None
    assert [previous.homes(p) for p in range(4)] == HOMES_1


def test_saving_and_loading_pins_the_signer(tmp_path: Path) -> None:
    """The first key is remembered beside the ring; another one is refused."""
    path = tmp_path / "colony.ring"
    loader.save(path, RING, KEY)
    assert _same(loader.load(path), RING)
    with pytest.raises(RingUntrusted, match="pins another key"):
        loader.save(path, RING, OTHER_KEY)
    with pytest.raises(RingUntrusted, match="pins a key"):
        loader.save(path, RING, Unsigned.ACCEPTED)
    path.write_bytes(encode(RING, OTHER_KEY))
    with pytest.raises(RingUntrusted, match=r"colony\.ring.*not trusted"):
        loader.load(path)


def test_a_failed_write_leaves_the_old_ring_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, say."""
    path = tmp_path / "colony.ring"
    loader.save(path, RING, KEY)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        loader.save(path, RING.staged(None), KEY)
    monkeypatch.undo()
    assert _same(loader.load(path), RING)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["colony.ring", "colony.ring.pub"]


def test_a_received_ring_is_installed_only_when_it_is_trusted(tmp_path: Path) -> None:
    """What comes over the wire is checked before it is written."""
    path = tmp_path / "colony.ring"
    assert _same(loader.install(path, SIGNED, trust=[KEY.public_key()]), RING)
    with pytest.raises(RingUntrusted):
        loader.install(path, encode(RING, OTHER_KEY), trust=[KEY.public_key()])
    assert _same(loader.load(path), RING)


def test_an_empty_file_and_a_missing_one_are_told(tmp_path: Path) -> None:
    """Neither is a ring."""
    (tmp_path / "empty").touch()
    with pytest.raises(RingFileError, match="is empty"):
        loader.load(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        loader.load(tmp_path / "none")


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    """A lost key cannot be had again."""
    key = loader.create_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert loader.load_key(tmp_path / "key").public_key() == key.public_key()
    with pytest.raises(FileExistsError):
        loader.create_key(tmp_path / "key")
    (tmp_path / "noise").write_text("noise")
    with pytest.raises(RingFileError, match="no PEM private key"):
        loader.load_key(tmp_path / "noise")
    with pytest.raises(RingFileError, match="no PEM public key"):
        loader.load_public_key(tmp_path / "noise")


def test_one_command_at_a_time_changes_a_ring(tmp_path: Path) -> None:
    """The second one is told to wait."""
    path = tmp_path / "colony.ring"
    with loader.locked(path), pytest.raises(RingBusy), loader.locked(path):
        pass
    with loader.locked(path):
        pass


def test_devices_are_added_in_one_call() -> None:
    """As a joining node does."""
    ring = loader.new_ring(regular(1, 1, 1, 4), part_power=6)
    grown = loader.add_devices(ring, [device(4, "r0/z0/h1/d0"), device(5, "r0/z0/h1/d1")])
    assert grown.version == 2
    assert set(grown.counts) == {0, 1, 2, 3, 4, 5}
    assert max(grown.counts.values()) - min(grown.counts.values()) <= 1
    assert loader.new_ring(regular(1, 1, 1, 4), part_power=6).salt != ring.salt
    with pytest.raises(RingError):
        loader.new_ring(regular(1, 1, 1, 2), part_power=6)
