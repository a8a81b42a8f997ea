"""What a client of objectd moves in pieces: payloads on their way out, and large ones on their way in.

Part of the client (objectd.client), which has all of it under its own name too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from kit.rpc import Reply
from kit.rpc_client import Stream
from objectd.contract import Buffer, CommitWrite, Found, Op, pack_commit

DEADLINE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ReadReply:
    """What a node's devices hold of a key, and the payload where it was wanted.

    `found` has one item for each device that answered, in the order they were asked. The payload is
    that of the newest base among them, read on `payload_device`: `payload` where it is short (all
    of the span asked), else `stream`, whose `chunks()` must be read to the end or `close()`d. Both
    are None where the newest is no DATA, has no payload, or no device here has a good copy.
    """

    found: list[Found]
    payload_device: int | None = None
    payload: Buffer | None = None
    stream: PayloadStream | None = None


class PayloadStream:
    """The bytes of one device's copy of a payload, verified there piece by piece."""

    __slots__ = ("_stream", "length")

    def __init__(self, stream: Stream, length: int) -> None:
        self._stream = stream
        self.length = length

    def chunks(self) -> AsyncIterator[Buffer]:
        """Yield the bytes in order. Raises CorruptRecord where the copy turns out bad on the way."""
        return self._stream.chunks()

    def close(self) -> None:
        """Give the rest up; harmless at the end."""
        self._stream.cancel()


class StageSession:
    """A large payload on its way to the stagings of several devices of one node, sent once.

    What is staged lives as long as the session and its connection: close it after the commit.
    """

    __slots__ = ("_reply", "_stream", "sent_bytes")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reply: asyncio.Task[Reply] | None = None
        self.sent_bytes = 0

    async def send(self, chunk: Buffer) -> None:
        """Send a chunk, with back-pressure; it must not change afterwards.

        Raises Unavailable (DeviceFull, DeviceFailed) once no device can take it any more.
        """
        self.sent_bytes += len(chunk)
        await self._stream.send(chunk)

    async def finish(self) -> dict[int, int]:
        """Return the staging id on each device where all bytes are durable; failed devices are absent."""
        self._reply = asyncio.ensure_future(self._stream.finish())
        return dict(await self._stream.head())

    def submit_commit(
        self,
        writes: Sequence[CommitWrite],
        body: Sequence[Buffer] = (),
        *,
        epoch: int,
        deadline_ms: int = DEADLINE_MS,
    ) -> asyncio.Future[Reply]:
        """Start the commit that takes what is staged, on the session's own connection.

        So it gets through to a node that drains, and waits for just this. See NodeClient.submit_commit.
        """
        return self._stream.submit(Op.COMMIT, pack_commit(epoch, writes, body), body, deadline_ms=deadline_ms)

    def close(self) -> None:
        """End the session: what no commit has taken by now is thrown away."""
        self._stream.cancel()
        if self._reply is not None:
            self._reply.cancel()
