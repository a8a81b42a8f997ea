"""Paths of unix sockets of any length: the kernel's limit of 107 bytes is met through a descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SUN_PATH_BYTES_MAX: Final = 107
"""What fits into sockaddr_un, less the final NUL."""


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """Yield a name of the same place that fits into a socket's address, for binding or connecting now.

    Raises OSError where the folder of the path cannot be opened.
    """
    if len(os.fsencode(path)) <= SUN_PATH_BYTES_MAX:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
