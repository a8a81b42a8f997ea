"""The request id that follows one request through log lines of every process it touches."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import Final

request_id_var: Final[ContextVar[str]] = ContextVar("request_id", default="")


def new_request_id() -> str:
    """Return a fresh request id: "tx" and 32 hexadecimal digits."""
    return "tx" + secrets.token_hex(16)
