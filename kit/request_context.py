"""The request id that follows one request through log lines of every process it touches."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import Final

request_id_var: Final[ContextVar[str]] = ContextVar("request_id", default="")


class RequestIds:
    """Makes request ids: "tx", 16 hexadecimal digits drawn at start, and a count of 8 digits."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = "tx" + secrets.token_hex(8)
        self._count = 0

    def next(self) -> str:
        """Return a request id that no other process has made."""
        self._count += 1
        return f"{self._prefix}{self._count:08x}"
