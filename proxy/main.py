"""A proxy worker: `python -m proxy --config FILE --name NAME --listen-fd N --admin-fd M --ready-fd K`.

It serves on sockets that the supervisor owns, so that another worker can take them over. On SIGTERM
it stops accepting, ends what it is at, and returns.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import ssl
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kit.admin import AdminServer
from kit.cluster_key import read_cluster_key
from kit.config import ConfigError
from kit.lifecycle import Lifecycle, run_daemon
from kit.settings import Settings, load_settings
from kit.telemetry import configure_logging
from model.errors import Unavailable
from proxy.access_log import AccessLog
from proxy.app import ProxyApp
from proxy.connect import Entrance, connect_colony
from proxy.encryption.defaults import AES256, BucketEncryption, CustomerKeys
from proxy.encryption.local_keys import LocalKeys
from proxy.health import Health
from proxy.http.protocol import HttpSettings
from proxy.http.server import HttpServer
from proxy.http.tls import server_context
from proxy.identity.directory import Directory
from proxy.metrics import RequestMetrics
from proxy.operations.colony import Colony
from proxy.s3.app import S3App
from proxy.s3.call import Settings as S3Settings
from proxy.s3.call import VersionTwo
from proxy.swift.api import SwiftApi
from proxy.swift.limits import DEFAULT_LIMITS, Limits
from ring import loader
from ring.ringfile import decode

START_PATIENCE_MS: Final = 50_000
STDERR: Final = 2


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the supervisor says on the command line; descriptors are -1 where none is given."""

    config: Path
    name: str
    listen_fd: int
    tls_fd: int
    admin_fd: int
    ready_fd: int | None


def main(arguments: list[str] | None = None) -> int:
    """Run a worker until it is told to stop; returns the exit status."""
    said = parse_arguments(arguments)
    try:
        settings = load_settings(said.config)
        configure_logging(said.name, settings.node.name, settings.logging.level)
        return run_daemon(lambda lifecycle: serve(said, settings, lifecycle), ready_fd=said.ready_fd)
    except (ConfigError, Unavailable) as error:
        sys.stderr.write(f"proxy: {error}\n")
        return 1


def parse_arguments(arguments: list[str] | None) -> Arguments:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="proxy", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the node's settings")
    parser.add_argument("--name", default="proxy", help="how this worker is called in logs and figures")
    parser.add_argument("--listen-fd", type=int, required=True, help="an inherited listening socket")
    parser.add_argument("--tls-fd", type=int, default=-1, help="another, for HTTPS")
    parser.add_argument("--admin-fd", type=int, default=-1, help="one for /metrics, /healthz and /readyz")
    parser.add_argument("--ready-fd", type=int, help="a pipe on which to say READY")
    found = parser.parse_args(arguments)
    return Arguments(found.config, found.name, found.listen_fd, found.tls_fd, found.admin_fd, found.ready_fd)


async def serve(said: Arguments, settings: Settings, lifecycle: Lifecycle) -> None:
    """Serve until the lifecycle drains. Raises ConfigError, Unavailable where the node does not answer."""
    cluster_key = read_cluster_key(settings.cluster.key_file)
    colony = await connect_colony(
        entrance_of(settings, cluster_key, said.name),
        patience_ms=START_PATIENCE_MS,
        inline_bytes_max=settings.proxy.inline_bytes_max,
        container_cache_ms=settings.proxy.container_cache_ms,
    )
    metrics = RequestMetrics(role=said.name, node=settings.node.name)
    health = Health(colony.nodes)
    server = HttpServer(
        build_app(said, settings, colony, cluster_key, health, metrics), http_settings(settings)
    )
    admin = AdminServer(metrics.render, {"node": health.missing})
    try:
        await server.serve(socket.socket(fileno=said.listen_fd))
        if said.tls_fd >= 0:
            await server.serve(socket.socket(fileno=said.tls_fd), tls_context(settings))
        if said.admin_fd >= 0:
            await admin.serve(socket.socket(fileno=said.admin_fd))
        lifecycle.ready()
        await lifecycle.draining.wait()
        await server.drain(settings.proxy.drain_ms)
    finally:
        await server.close()
        await admin.close()
        health.close()
        await colony.close()


def build_app(
    said: Arguments,
    settings: Settings,
    colony: Colony,
    cluster_key: bytes,
    health: Health,
    metrics: RequestMetrics,
) -> ProxyApp:
    """Return the app of a worker: both APIs over one colony and one directory of users."""
    directory = Directory(colony, cluster_key)
    colony.use_keys(LocalKeys(colony, cluster_key), default_encryption(settings))
    log = AccessLog(STDERR, node=settings.node.name, role=said.name) if settings.logging.requests else None
    return ProxyApp(
        s3=S3App(colony, directory, s3_settings(settings)),
        swift=SwiftApi(colony, directory, cluster_key, limits=swift_limits(settings)).handle,
        health=health.answer,
        metrics=metrics,
        access_log=log,
        domains=s3_domains(settings),
    )


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return what the HTTPS listener speaks. Raises ConfigError."""
    tls = settings.tls
    return server_context(tls.certificate, tls.key, minimum=tls.minimum_version)


def entrance_of(settings: Settings, cluster_key: bytes, name: str) -> Entrance:
    """Return how a process of a node comes to its colony: by the socket of the node's own objectd."""
    trust = loader.pinned_trust(settings.ring.file)
    return Entrance(
        node=settings.node.name,
        address=f"unix:{settings.node.run}/objectd.sock",
        cluster_key=cluster_key,
        name=f"{settings.node.name}/{name}",
        decode=lambda data: decode(data, trust=trust),
    )


def s3_settings(settings: Settings) -> S3Settings:
    """Return what the S3 API must know of the settings."""
    proxy = settings.proxy
    return S3Settings(
        region=proxy.s3_region,
        domains=s3_domains(settings),
        version2=VersionTwo.ACCEPTED if proxy.s3_sigv2 else VersionTwo.REFUSED,
        put_bytes_max=proxy.s3_max_object_bytes,
        customer_keys=customer_keys(settings),
        default_encryption=default_encryption(settings),
        host_id=settings.node.name,
    )


def default_encryption(settings: Settings) -> BucketEncryption | None:
    """Return how containers encrypt that have no rule of their own, None for not at all."""
    return BucketEncryption(AES256) if settings.proxy.default_encryption == AES256 else None


def customer_keys(settings: Settings) -> CustomerKeys:
    """Return over which connections customers may send keys: see `proxy.s3_sse_c_over_http`."""
    proxy = settings.proxy
    if proxy.s3_sse_c_over_http == "loopback":
        return CustomerKeys.ANY if is_loopback(proxy.bind) else CustomerKeys.TLS_ONLY
    return CustomerKeys.ANY if proxy.s3_sse_c_over_http == "always" else CustomerKeys.TLS_ONLY


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def s3_domains(settings: Settings) -> tuple[str, ...]:
    """Return the domains of virtual hosts in one form: lower case, without dots around them."""
    return tuple(domain.lower().strip(".") for domain in settings.proxy.s3_domains)


def swift_limits(settings: Settings) -> Limits:
    """Return Swift's constraints, with what the settings say of them."""
    return replace(DEFAULT_LIMITS, file_bytes_max=settings.proxy.max_object_bytes)


def http_settings(settings: Settings) -> HttpSettings:
    """Return what the HTTP server must know of the settings."""
    proxy = settings.proxy
    return HttpSettings(
        header_timeout_ms=proxy.header_timeout_ms,
        body_idle_timeout_ms=proxy.body_idle_timeout_ms,
        keep_alive_timeout_ms=proxy.keep_alive_timeout_ms,
        connections_max=proxy.connections_max,
    )
