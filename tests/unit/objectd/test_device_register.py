"""Claims of the register: who came back empty is filling until told otherwise, also after a restart."""

from pathlib import Path

import pytest

from model.errors import CorruptRecord
from objectd.device_register import REGISTER_FILE, DeviceRegister


def test_a_new_device_and_one_that_returns_unchanged_are_not_filling(tmp_path: Path) -> None:
    register = DeviceRegister(tmp_path)
    assert not register.opened(1, "one")
    assert not DeviceRegister(tmp_path).opened(1, "one")


def test_a_device_that_comes_back_as_another_is_filling_until_it_is_filled(tmp_path: Path) -> None:
    DeviceRegister(tmp_path).opened(1, "one")
    register = DeviceRegister(tmp_path)
    assert register.opened(1, "two")
    assert DeviceRegister(tmp_path).filling == {1}
    assert DeviceRegister(tmp_path).opened(1, "two")
    register.filled(1)
    assert not DeviceRegister(tmp_path).opened(1, "two")


@pytest.mark.parametrize(
    "damaged", [b"{", b"[]", b'{"format": 9}', b'{"format": 1, "uuids": 5, "filling": []}']
)
def test_a_damaged_register_is_not_believed(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / REGISTER_FILE).write_bytes(damaged)
    with pytest.raises(CorruptRecord, match="remove it"):
        DeviceRegister(tmp_path)
