"""The listening sockets of a node's proxy workers, owned by the supervisor so that they outlive any worker.

Every worker slot has a socket of its own on the one port (SO_REUSEPORT). A worker inherits it by number;
when the worker is replaced or dies, clients that have connected wait in the socket's queue for the next.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final

BACKLOG: Final = 4096


class PortTaken(Exception):
    """The address cannot be listened on; the text names what mends it."""


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Return `count` listening sockets on one address; port 0 lets the kernel choose one for all.

    Raises PortTaken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened: list[socket.socket] = []
    try:
        # Bound once without sharing: SO_REUSEPORT would share the port with another colony of this user.
        with _bound(family, host, port, shared=False) as probe:
            chosen: int = probe.getsockname()[1]
        for _ in range(count):
            opened += (_bound(family, host, chosen, shared=True),)
        for sock in opened:
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except OSError as error:
        close_all(opened)
        raise PortTaken(_words(error, host, port)) from error
    return opened


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close sockets."""
    for sock in sockets:
        sock.close()


def _bound(family: socket.AddressFamily, host: str, port: int, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _words(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken by another program; choose another with --port "
            f"(--port 0 lets the system choose), or see who has it: ss -ltnp 'sport = :{port}'"
        )
    if error.errno == errno.EACCES:
        return f"port {port} of {host} needs root, as all below 1024 do; choose another with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {host}; mend `host` in the configuration"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"
