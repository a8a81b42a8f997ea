"""What the two ends of the node protocol share: the reply, and names of notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from kit.frames import Buffer

DEADLINE_MS_MAX: Final = 24 * 60 * 60 * 1000
GOAWAY: Final = "goaway"
"""The notice of a server that drains: finish what is in flight, connect anew for the rest."""


class Reply(NamedTuple):
    """The answer to a call: any msgpack object and a body.

    `tail` holds further buffers of the body, sent after it without joining them; at the receiver
    all bytes are in `body` and `tail` is empty. `body` is bytes, or a memoryview for large bodies.
    """

    head: Any = None
    body: Buffer = b""
    tail: Sequence[Buffer] = ()
