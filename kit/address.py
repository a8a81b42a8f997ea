"""Addresses of daemons: "unix:/path/of/socket" or "tcp:host:port". Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket at `path`."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port; port 0 asks the kernel to choose when listening. IPv6 hosts stand in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


Address = UnixAddress | TcpAddress


def parse_address(text: str) -> Address:
    """Return the address that a text names; raises ValueError saying what is wrong with it."""
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        return UnixAddress(rest)
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if host and port.isascii() and port.isdigit() and int(port) < 65536:
            return TcpAddress(host.removeprefix("[").removesuffix("]"), int(port))
    raise ValueError(f"address {text!r} is neither unix:/path nor tcp:host:port")
