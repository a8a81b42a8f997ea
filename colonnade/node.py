"""One node, run: its sockets, its processes in their tiers, its control operations, its endpoints file."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Final

from colonnade.control import Control
from colonnade.folder import Folder, take_lock, write_secret
from colonnade.founding import read_credentials
from colonnade.joining import joining_handlers
from colonnade.journal import Echo, Journal
from colonnade.listeners import PortTaken, close_all, open_listeners
from colonnade.node_config import default_workers, public_host
from colonnade.process import READY_FD, Launch
from colonnade.slot import Replacement, SlotPlan, StartFailed
from colonnade.supervisor import NoSuchRole, Supervisor
from kit.cluster_key import read_cluster_key
from kit.rpc import Reply
from kit.rpc_server import Call, Handler, RpcServer
from kit.settings import Settings
from model.errors import BadRequest, Unavailable

# Bodies of some hundred KiB would otherwise cross malloc's mmap threshold: a page fault for each 4 KiB.
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "268435456"}
_ADMIN_HOST: Final = "127.0.0.1"

Prepare = Callable[[], Awaitable[None]]


class Stage(Enum):
    """What a node is at."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class Node:
    """A running node. Use `run`."""

    def __init__(self, folder: Folder, settings: Settings, *, echo: Echo = Echo.TERMINAL) -> None:
        """Prepare to run the node of a folder, by its settings."""
        self.folder = folder
        self.settings = settings
        self.workers = settings.proxy.workers or default_workers()
        self.stage = Stage.STARTING
        self.started_ms = time.time_ns() // 1_000_000
        self.journal = Journal(folder.log / "supervisor.log", node=settings.node.name, echo=echo)
        self.stop_wanted = asyncio.Event()
        self._public: list[socket.socket] = []
        self._secure: list[socket.socket] = []
        self._admin: list[socket.socket] = []
        self._supervisor: Supervisor | None = None
        self._control: RpcServer | None = None
        self._rolling: asyncio.Task[None] | None = None
        self._stops = 0

    async def run(
        self, *, prepare: Prepare | None = None, serving: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Start everything, call `serving` with the endpoints, and stay until told to stop.

        `prepare` runs when objectd is ready and before anything else starts. Raises FolderError,
        PortTaken, StartFailed.
        """
        lock = take_lock(self.folder)
        try:
            self._hear_signals()
            self._open_sockets()
            self._supervisor = supervisor = Supervisor(
                self._tiers(), log=self.journal.log, changed=self._write_endpoints
            )
            await self._until_stopped(supervisor, prepare, serving)
        finally:
            await self._stop()
            self.journal.log("stopped")
            lock.close()
            self.journal.close()

    async def _until_stopped(
        self, supervisor: Supervisor, prepare: Prepare | None, serving: Callable[[Mapping[str, Any]], None]
    ) -> None:
        starting = asyncio.ensure_future(self._start(supervisor, prepare))
        stopping = asyncio.ensure_future(self.stop_wanted.wait())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                serving(self.endpoints())
                await stopping
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)

    async def _start(self, supervisor: Supervisor, prepare: Prepare | None) -> None:
        await self._listen_for_control()
        for number in range(len(supervisor.tiers)):
            await supervisor.start_tier(number)
            if number == 0 and prepare is not None:
                await prepare()
        self.stage = Stage.SERVING
        self._write_endpoints()

    # Sockets and processes.

    def _open_sockets(self) -> None:
        proxy = self.settings.proxy
        self._public = open_listeners(proxy.bind, proxy.port, self.workers)
        if self.settings.tls.certificate:
            self._secure = open_listeners(proxy.bind, self.settings.tls.port, self.workers)
        for _ in range(self.workers):
            self._admin += open_listeners(_ADMIN_HOST, 0, 1)

    def _tiers(self) -> list[list[SlotPlan]]:
        tiers = [[self._objectd()]]
        if importlib.util.find_spec("replicator.__main__") is not None:
            tiers.append([self._replicator()])
        tiers.append([self._proxy(number) for number in range(self.workers)])
        return tiers

    def _objectd(self) -> SlotPlan:
        command = (*_python("objectd"), "--config", str(self.folder.config), "--ready-fd", READY_FD)
        return self._plan("objectd", "objectd", command, Replacement.SUCCEED)

    def _replicator(self) -> SlotPlan:
        command = (*_python("replicator"), "--config", str(self.folder.config), "--ready-fd", READY_FD)
        return self._plan("replicator", "replicator", command, Replacement.SUCCEED)

    def _proxy(self, number: int) -> SlotPlan:
        listen, admin = self._public[number].fileno(), self._admin[number].fileno()
        secure = [self._secure[number].fileno()] if self._secure else []
        name = f"proxy-{number + 1}"
        command = (
            *(*_python("proxy"), "--config", str(self.folder.config), "--name", name),
            *("--listen-fd", str(listen), "--admin-fd", str(admin), "--ready-fd", READY_FD),
            *(("--tls-fd", str(secure[0])) if secure else ()),
        )
        return self._plan("proxy", name, command, Replacement.OVERLAP, inherit=(listen, admin, *secure))

    def _plan(
        self,
        role: str,
        name: str,
        command: tuple[str, ...],
        replacement: Replacement,
        *,
        inherit: tuple[int, ...] = (),
    ) -> SlotPlan:
        log = self.folder.log / f"{name}.log"
        launch = Launch(command, inherit=inherit, environment=_MALLOC, log=log)
        # Longer than the processes' own limit, so that they end by themselves and say why.
        drain_ms = self.settings.proxy.drain_ms + 2_000
        return SlotPlan(role, name, launch, replacement, drain_timeout_ms=drain_ms)

    # Signals.

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._on_stop)
        loop.add_signal_handler(signal.SIGTERM, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_stop(self) -> None:
        self._stops += 1
        self.stop_wanted.set()
        if self._stops > 1 and self._supervisor is not None:
            self._supervisor.kill()

    def _on_hangup(self) -> None:
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.ensure_future(self._roll())

    async def _roll(self) -> None:
        if self._supervisor is not None and self.stage is Stage.SERVING:
            try:
                await self._supervisor.restart()
            except StartFailed as error:
                self.journal.log("restart_failed", reason=str(error))

    async def _stop(self) -> None:
        if self.stage is Stage.SERVING:
            self.journal.log("stopping")
        self.stage = Stage.STOPPING
        if self._rolling is not None:
            self._rolling.cancel()
        if self._control is not None:
            await self._control.close()
        close_all([*self._public, *self._secure])
        if self._supervisor is not None:
            await self._supervisor.stop()
        close_all(self._admin)
        for path in (self.folder.endpoints, self.folder.control_socket):
            path.unlink(missing_ok=True)

    # Endpoints.

    def endpoints(self) -> dict[str, Any]:
        """Return what run/endpoints.json says; see colonnade.endpoints."""
        assert self._supervisor is not None
        url = self._url("http", self._public)
        secure = self._url("https", self._secure) if self._secure else ""
        credentials = read_credentials(self.folder)
        admin = {
            f"proxy-{number + 1}": f"http://{_ADMIN_HOST}:{sock.getsockname()[1]}"
            for number, sock in enumerate(self._admin)
        }
        for slot in self._supervisor.slots():
            if isinstance(said := slot.info.get("admin"), str):
                admin[slot.plan.name] = said
        return {
            "s3": url,
            "swift": f"{url}/auth/v1.0",
            **({"s3_https": secure, "swift_https": f"{secure}/auth/v1.0"} if secure else {}),
            **({"certificate": self.settings.tls.certificate} if secure else {}),
            **(credentials.plain() if credentials is not None else {}),
            "node": self.settings.node.name,
            "data": str(self.folder.root),
            "join": self.settings.node.join_address,
            "pids": {"supervisor": os.getpid(), **self._supervisor.pids()},
            "admin": admin,
        }

    def _url(self, scheme: str, listening: list[socket.socket]) -> str:
        host, port = public_host(self.settings.proxy.bind), listening[0].getsockname()[1]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _write_endpoints(self) -> None:
        if self.stage is Stage.SERVING:
            write_secret(self.folder.endpoints, json.dumps(self.endpoints(), indent=2).encode() + b"\n")

    # Control.

    async def _listen_for_control(self) -> None:
        handlers: dict[str, Handler] = {
            str(Control.STATUS): self._serve_status,
            str(Control.RESTART): self._serve_restart,
            str(Control.STOP): self._serve_stop,
        }
        if self.folder.ring_key.exists():
            handlers |= joining_handlers(self.folder)
        self._control = RpcServer(
            handlers, read_cluster_key(self.folder.cluster_key), name=self.settings.node.name
        )
        await self._control.listen(f"unix:{self.folder.control_socket}")
        os.chmod(self.folder.control_socket, 0o600)
        if address := self.settings.node.join_address:
            try:
                await self._control.listen(address)
            except OSError as error:
                raise PortTaken(
                    f"node.join_address in {self.folder.config}: {address}: {error.strerror or error}"
                ) from error

    def _serve_status(self, call: Call) -> Reply:
        assert self._supervisor is not None
        return Reply(
            {
                "node": self.settings.node.name,
                "pid": os.getpid(),
                "state": self.stage.value,
                "started_ms": self.started_ms,
                "processes": self._supervisor.status(),
                "endpoints": self.endpoints(),
            }
        )

    async def _serve_restart(self, call: Call) -> Reply:
        assert self._supervisor is not None
        (name,) = call.args
        # Shielded: a command that is interrupted must not leave a node half restarted.
        rolling = asyncio.ensure_future(self._supervisor.restart(str(name)))
        try:
            return Reply(await asyncio.shield(rolling))
        except NoSuchRole as error:
            raise BadRequest(str(error)) from error
        except StartFailed as error:
            raise Unavailable(str(error)) from error

    def _serve_stop(self, call: Call) -> Reply:
        # After the answer has gone out.
        asyncio.get_running_loop().call_later(0.01, self.stop_wanted.set)
        return Reply()


def _python(package: str) -> tuple[str, ...]:
    return (sys.executable, "-m", package)
