"""Waiting for the disk without a thread: fdatasync, and writes past the page cache, by the kernel.

IOCB_CMD_FDSYNC (Linux 4.18, io_submit(2)) runs the sync in a kernel worker and rings an eventfd in
the loop. Measured here it costs a third of the CPU that handing the call to a thread does, and the
reply never waits for the interpreter lock (docs/decisions/0004-volume-format.md). IOCB_CMD_PWRITEV
on a file opened with O_DIRECT hands the buffers to the disk and returns. Where the kernel or a
sandbox refuses them, a thread does the same.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from struct import Struct
from typing import Final, NamedTuple, Protocol

from kit.pages import address_of

Done = Callable[[int], None]
"""Called in the loop with 0, or the errno of what failed."""

_EVENTS_MAX: Final = 64
_CMD_FDSYNC: Final = 3
_CMD_PWRITEV: Final = 8
_IOV_MAX: Final = 1024
_FLAG_RESFD: Final = 1
# struct iocb and struct io_event of linux/aio_abi.h, little-endian machines.
_IOCB: Final = Struct("<QIIHhIQQqQII")
_EVENT: Final = Struct("<QQqq")
_IOVEC: Final = Struct("<QQ")
# io_setup, io_destroy, io_submit, io_getevents
_CALLS: Final = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}


class Syncer(Protocol):
    """Puts files on stable storage, one at a time or several at once."""

    def sync(self, fd: int, done: Done) -> None:
        """Start fdatasync of a file; `done` is called in the loop."""

    def write(self, fd: int, pages: Sequence[memoryview], offset: int, done: Done) -> None:
        """Start writing whole pages past the page cache; `done` gets EAGAIN where not all was written.

        A sync has to follow.
        """

    def close(self) -> None:
        """Release what it holds; nothing may be under way."""


def make_syncer(loop: asyncio.AbstractEventLoop) -> Syncer:
    """Return the cheapest syncer that works on this kernel."""
    try:
        return KernelSyncer(loop)
    except OSError:
        return ThreadSyncer(loop)


class ThreadSyncer:
    """Syncs in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sync")

    def sync(self, fd: int, done: Done) -> None:
        """Start fdatasync of a file."""
        self._start(done, _sync, fd)

    def write(self, fd: int, pages: Sequence[memoryview], offset: int, done: Done) -> None:
        """Start writing whole pages."""
        self._start(done, _write, fd, pages, offset)

    def _start(self, done: Done, work: Callable[..., int], *arguments: object) -> None:
        waiting = self._loop.run_in_executor(self._threads, work, *arguments)
        waiting.add_done_callback(lambda finished: done(finished.result()))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)


def _sync(fd: int) -> int:
    try:
        os.fdatasync(fd)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _write(fd: int, pages: Sequence[memoryview], offset: int) -> int:
    try:
        written = os.pwritev(fd, pages, offset)
    except OSError as error:
        return error.errno or errno.EIO
    return 0 if written == sum(map(len, pages)) else errno.EAGAIN


class _UnderWay(NamedTuple):
    """A call that the kernel works on: what it is to return, and what it reads from until then."""

    done: Done
    result: int = 0
    memory: object = None


class KernelSyncer:
    """Syncs by io_submit. Raises OSError where the kernel does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        calls = _CALLS.get(platform.machine())
        if calls is None:
            raise OSError("no asynchronous I/O known for this machine")
        self._setup, self._destroy, self._submit, self._getevents = calls
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._context = ctypes.c_ulong(0)
        self._check(self._call(self._setup, _EVENTS_MAX, ctypes.byref(self._context)))
        self._loop = loop
        self._waiting: dict[int, _UnderWay] = {}
        self._last = 0
        self._control = ctypes.create_string_buffer(_IOCB.size)
        self._controls = (ctypes.c_void_p * 1)(ctypes.addressof(self._control))
        self._events = ctypes.create_string_buffer(_EVENT.size * _EVENTS_MAX)
        self._no_wait = ctypes.create_string_buffer(16)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._bell, self._ring)
        try:
            self._probe()
        except OSError:
            self.close()
            raise

    def sync(self, fd: int, done: Done) -> None:
        """Start fdatasync of a file."""
        self._start(_CMD_FDSYNC, fd, (0, 0, 0), _UnderWay(done))

    def write(self, fd: int, pages: Sequence[memoryview], offset: int, done: Done) -> None:
        """Start writing whole pages."""
        if len(pages) > _IOV_MAX:
            self._loop.call_soon(done, errno.EINVAL)
            return
        vectors = ctypes.create_string_buffer(_IOVEC.size * len(pages))
        for number, page in enumerate(pages):
            _IOVEC.pack_into(vectors, _IOVEC.size * number, address_of(page), len(page))
        size = sum(map(len, pages))
        place = (ctypes.addressof(vectors), len(pages), offset)
        self._start(_CMD_PWRITEV, fd, place, _UnderWay(done, size, (vectors, pages)))

    def _start(self, command: int, fd: int, place: tuple[int, int, int], under_way: _UnderWay) -> None:
        self._last = token = self._last + 1
        self._waiting[token] = under_way
        _IOCB.pack_into(self._control, 0, token, 0, 0, command, 0, fd, *place, 0, _FLAG_RESFD, self._bell)
        if self._call(self._submit, self._context, 1, self._controls) != 1:
            del self._waiting[token]
            self._loop.call_soon(under_way.done, ctypes.get_errno() or errno.EIO)

    def close(self) -> None:
        """Give the context back to the kernel."""
        self._loop.remove_reader(self._bell)
        os.close(self._bell)
        self._call(self._destroy, self._context)

    def _ring(self) -> None:
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            return
        count = self._call(self._getevents, self._context, 0, _EVENTS_MAX, self._events, self._no_wait)
        for number in range(count):
            token, _, result, _ = _EVENT.unpack_from(self._events, number * _EVENT.size)
            under_way = self._waiting.pop(token, None)
            if under_way is None:
                continue
            if result < 0:
                under_way.done(-result)
            else:
                under_way.done(0 if result == under_way.result else errno.EAGAIN)

    def _probe(self) -> None:
        """Sync an unnamed file once: some sandboxes let the context be made and refuse the rest."""
        fd = os.memfd_create("probe", os.MFD_CLOEXEC)
        try:
            _IOCB.pack_into(self._control, 0, 0, 0, 0, _CMD_FDSYNC, 0, fd, 0, 0, 0, 0, 0, 0)
            self._check(self._call(self._submit, self._context, 1, self._controls))
            self._check(self._call(self._getevents, self._context, 1, 1, self._events, None))
        finally:
            os.close(fd)

    def _check(self, result: int) -> None:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
