"""Settings of a node: every section of its one TOML file, with defaults, units and what each is for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kit.address import parse_address
from kit.config import ConfigError, load_config, setting

GIB: Final = 1024**3
TIB: Final = 1024**4
MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Who this node is and where it keeps things."""

    name: str = setting("node-1", doc="Name of the node; unique in the colony.")
    data: str = setting(".", doc="Folder that holds all the node keeps; relative to this file.")
    zone: str = setting("zone-1", doc="What fails together with this node: a rack, a room.")
    region: str = setting("region-1", doc="Where the node stands: a site.")
    address: str = setting(
        "tcp:127.0.0.1:0",
        doc="Where other nodes reach this one; port 0 lets the kernel choose, empty means unix socket only.",
    )
    join_address: str = setting(
        "", doc="Where this node's supervisor lets other nodes join the colony; empty means nowhere."
    )
    run: str = setting("run", doc="Folder for sockets and process ids; relative to `data`.")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What makes this node a member of its colony."""

    key_file: str = setting(
        "cluster.key", doc="File of the secret by which nodes know one another; relative to `data`."
    )


@dataclass(frozen=True, slots=True)
class RingSettings:
    """The placement of data on devices."""

    file: str = setting("colony.ring", doc="File of the placement ring; relative to `data`.")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The public endpoint and its limits."""

    bind: str = setting("127.0.0.1", doc="Address that the public endpoint listens on.")
    port: int = setting(
        8080, doc="Port of the public endpoint; 0 lets the kernel choose.", minimum=0, maximum=65535
    )
    workers: int = setting(0, doc="Proxy processes; 0 means one per core.", minimum=0, maximum=1024)
    request_deadline_ms: int = setting(
        60_000, unit="ms", doc="How long one call to a node may take on behalf of a request.", minimum=1
    )
    container_cache_ms: int = setting(
        1_000,
        unit="ms",
        doc="How long the settings of a container are believed without asking again.",
        minimum=0,
    )
    header_timeout_ms: int = setting(
        15_000, unit="ms", doc="How long the head of a request may take to arrive.", minimum=1
    )
    body_idle_timeout_ms: int = setting(
        60_000,
        unit="ms",
        doc="How long a client may send, or take, nothing in the middle of a body.",
        minimum=1,
    )
    keep_alive_timeout_ms: int = setting(
        75_000, unit="ms", doc="How long a connection may stay open between two requests.", minimum=1
    )
    connections_max: int = setting(
        8_192,
        unit="connections",
        doc="Clients that each proxy process keeps at a time; those that wait for their clients make room.",
        minimum=1,
    )
    inline_bytes_max: int = setting(
        MIB,
        unit="bytes",
        doc="Objects up to this size are sent to their devices in one message; larger ones are streamed.",
        minimum=0,
        maximum=4 * MIB,
    )
    max_object_bytes: int = setting(
        5 * TIB, unit="bytes", doc="Largest object that one Swift PUT may make.", minimum=1
    )
    s3_max_object_bytes: int = setting(
        5 * TIB, unit="bytes", doc="Largest object or part that one S3 PUT may make (AWS: 5 GiB).", minimum=1
    )
    s3_region: str = setting("us-east-1", doc="Region name that S3 requests are signed for.")
    s3_domains: tuple[str, ...] = setting(
        (), doc="Domains under which a first label is a bucket: bucket.DOMAIN; none means by path only."
    )
    s3_sigv2: bool = setting(
        True,
        doc="Whether S3 signatures of version 2 are accepted; boto3 presigns with it unless told otherwise.",
    )
    default_encryption: str = setting(
        "none",
        doc="How buckets and containers encrypt new objects that have no encryption set.",
        choices=("none", "AES256"),
    )
    s3_sse_c_over_http: str = setting(
        "loopback",
        doc="Whether S3 clients may send keys of their own over plain HTTP: where `bind` is this machine "
        "alone, always (behind what ends TLS), or never.",
        choices=("loopback", "always", "never"),
    )
    drain_ms: int = setting(
        15_000,
        unit="ms",
        doc="How long requests in flight may take to end when the process is told to.",
        minimum=0,
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """HTTPS, on a second port of the public endpoint. A restart of the proxy reads the files anew."""

    certificate: str = setting(
        "",
        doc="PEM file of the certificate and then what signed it; relative to `data`; empty: no HTTPS.",
    )
    key: str = setting("", doc="PEM file of its private key; empty means in the certificate's file.")
    port: int = setting(
        8443, doc="Port of HTTPS; 0 lets the kernel choose, at each start.", minimum=0, maximum=65535
    )
    minimum_version: str = setting("1.2", doc="Least version of TLS.", choices=("1.2", "1.3"))


@dataclass(frozen=True, slots=True)
class ObjectdSettings:
    """The daemon that owns the devices."""

    devices: tuple[str, ...] = setting(
        (), doc="Folders of the devices, relative to `data`; none means every folder in `devices`."
    )
    reserve_bytes: int = setting(
        -1,
        unit="bytes",
        doc="Room that each device keeps free; -1 means 1 GiB or 1% of the device, whichever is less.",
        minimum=-1,
    )
    volume_bytes_max: int = setting(
        GIB,
        unit="bytes",
        doc="Size at which a volume of small objects is closed.",
        minimum=MIB,
        maximum=64 * GIB,
    )
    compaction_dead_ratio: float = setting(
        0.5, doc="Share of dead bytes from which a volume is compacted.", minimum=0.05, maximum=1.0
    )
    commit_batch_max: int = setting(
        256, unit="writes", doc="Writes that may share one flush of a device.", minimum=1, maximum=65536
    )


@dataclass(frozen=True, slots=True)
class ReplicatorSettings:
    """Bringing replicas back in step."""

    interval_ms: int = setting(10_000, unit="ms", doc="Pause between two rounds of comparison.", minimum=10)
    bandwidth_bytes_per_s: int = setting(
        0, unit="bytes/s", doc="Most that this node sends for repair; 0 means no limit.", minimum=0
    )
    tranquility: float = setting(
        1.0,
        doc="Rest of background work per unit of busy time: 0 is full speed, 2 rests twice as long.",
        minimum=0,
    )
    tombstone_age_s: int = setting(
        604_800, unit="s", doc="How long a deletion is remembered once all replicas have it.", minimum=0
    )
    lifecycle_day_s: int = setting(
        86_400,
        unit="s",
        doc="Length of a day to lifecycle rules; any but the real one is for trials.",
        minimum=1,
    )


@dataclass(frozen=True, slots=True)
class AuditorSettings:
    """Reading everything again, to find what has rotted."""

    bytes_per_s: int = setting(
        64 * MIB, unit="bytes/s", doc="Most that the auditor reads from each device.", minimum=1
    )
    period_s: int = setting(
        1_209_600,
        unit="s",
        doc="Time in which every record is read once, the oldest verified first.",
        minimum=1,
    )


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """Users, tokens and keys."""

    token_lifetime_s: int = setting(86_400, unit="s", doc="How long a token is valid.", minimum=1)
    cache_ms: int = setting(
        5_000, unit="ms", doc="How long a user or key is believed without asking again.", minimum=0
    )


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What is written to the logs."""

    level: str = setting(
        "info", doc="Least severity that is logged.", choices=("debug", "info", "warning", "error")
    )
    requests: bool = setting(True, doc="Whether each request is logged with its id, status and duration.")
    slow_call_ms: int = setting(
        1_000,
        unit="ms",
        minimum=0,
        doc="objectd logs calls that take at least so long, with the request's id.",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one node."""

    node: NodeSettings = field(default_factory=NodeSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    ring: RingSettings = field(default_factory=RingSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    objectd: ObjectdSettings = field(default_factory=ObjectdSettings)
    replicator: ReplicatorSettings = field(default_factory=ReplicatorSettings)
    auditor: AuditorSettings = field(default_factory=AuditorSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


def load_settings(path: Path) -> Settings:
    """Return the settings in a node's TOML file, with all its paths made absolute; raises ConfigError."""
    settings = load_config(Settings, path)
    _check_address(settings.node.address, path)
    return with_absolute_paths(settings, path.resolve().parent)


def with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    """Return the settings with paths resolved: `node.data` against `folder`, all others against it."""
    data = folder / settings.node.data
    return dataclasses.replace(
        settings,
        node=dataclasses.replace(settings.node, data=str(data), run=str(data / settings.node.run)),
        cluster=dataclasses.replace(settings.cluster, key_file=str(data / settings.cluster.key_file)),
        ring=dataclasses.replace(settings.ring, file=str(data / settings.ring.file)),
        tls=dataclasses.replace(
            settings.tls,
            certificate=str(data / settings.tls.certificate) if settings.tls.certificate else "",
            key=str(data / settings.tls.key) if settings.tls.key else "",
        ),
        objectd=dataclasses.replace(
            settings.objectd, devices=tuple(str(data / device) for device in settings.objectd.devices)
        ),
    )


def _check_address(address: str, path: Path) -> None:
    if address:
        try:
            parse_address(address)
        except ValueError as error:
            raise ConfigError(
                f'{path}: node.address: {error}; write for example "tcp:127.0.0.1:6000"'
            ) from error
