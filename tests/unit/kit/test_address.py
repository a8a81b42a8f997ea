"""Addresses of daemons."""

from __future__ import annotations

import pytest

from kit.address import TcpAddress, UnixAddress, parse_address


def test_addresses_are_read_and_written_alike() -> None:
    for text, address in [
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
        ("tcp:127.0.0.1:6000", TcpAddress("127.0.0.1", 6000)),
        ("tcp:[::1]:0", TcpAddress("::1", 0)),
    ]:
        assert parse_address(text) == address
        assert str(address) == text


@pytest.mark.parametrize("text", ["", "unix:", "tcp:x", "tcp::1", "tcp:h:70000", "tcp:h:-1", "http://h:1"])
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        parse_address(text)
