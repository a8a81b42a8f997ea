"""The configuration files of an all-in-one OpenStack Swift, set up to be fast. Pure.

Proxy 2, object 2, container 2 and account 1 workers, memcached, request logs off, private objects kept in
the page cache. Source:
https://docs.openstack.org/swift/latest/development_saio.html and the samples that Swift ships.
"""

from dataclasses import dataclass

DEVICES = 4
REPLICAS = 3
PART_POWER = 10
# The well-known account of Swift's own examples, on loopback only.
USER = "test:tester"
PASSWORD = "testing"


@dataclass(frozen=True, slots=True)
class SwiftPorts:
    """A loopback port for each daemon."""

    proxy: int
    object: int
    container: int
    account: int
    memcached: int


@dataclass(frozen=True, slots=True)
class SwiftLayout:
    """Where a Swift under measurement lives; `etc` holds its configuration, `devices` its device folders."""

    etc: str
    devices: str
    ports: SwiftPorts
    system_user: str


# Swift's sample pipeline with s3api, without what logs or limits requests and without container sync.
_PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl s3api tempauth copy "
    "container-quotas account-quotas slo dlo versioned_writes symlink proxy-server"
)


def render_files(layout: SwiftLayout) -> dict[str, str]:
    """Every configuration file by its name inside `etc`."""
    return {
        "swift.conf": _swift_conf(),
        "proxy-server.conf": _proxy_conf(layout),
        "object-server.conf": _storage_conf(layout, "object", workers=2, extra="keep_cache_private = true"),
        "container-server.conf": _storage_conf(layout, "container", workers=2, extra=""),
        "account-server.conf": _storage_conf(layout, "account", workers=1, extra=""),
    }


def ring_commands(layout: SwiftLayout) -> tuple[tuple[str, ...], ...]:
    """The arguments of `swift-ring-builder` that make the three rings."""
    commands: list[tuple[str, ...]] = []
    for kind in ("object", "container", "account"):
        builder = f"{layout.etc}/{kind}.builder"
        port = getattr(layout.ports, kind)
        commands.append((builder, "create", str(PART_POWER), str(REPLICAS), "0"))
        commands += [
            (builder, "add", f"r1z{index}-127.0.0.1:{port}/d{index}", "100")
            for index in range(1, DEVICES + 1)
        ]
        commands.append((builder, "rebalance"))
    return tuple(commands)


def _swift_conf() -> str:
    return """[swift-hash]
swift_hash_path_prefix = bench
swift_hash_path_suffix = bench

[storage-policy:0]
name = gold
default = yes
policy_type = replication
"""


def _defaults(layout: SwiftLayout, *, port: int, workers: int) -> str:
    return f"""[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = {workers}
user = {layout.system_user}
swift_dir = {layout.etc}
log_level = ERROR
"""


def _proxy_conf(layout: SwiftLayout) -> str:
    configured = ("cache", "tempauth", "proxy-server")
    plain = [name for name in _PIPELINE.split() if name not in configured]
    filters = {"container-quotas": "container_quotas", "account-quotas": "account_quotas"}
    sections = "\n".join(f"[filter:{name}]\nuse = egg:swift#{filters.get(name, name)}\n" for name in plain)
    account, user = USER.split(":")
    return f"""{_defaults(layout, port=layout.ports.proxy, workers=2)}
[pipeline:main]
pipeline = {_PIPELINE}

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{layout.ports.memcached}

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {PASSWORD} .admin

{sections}"""


def _storage_conf(layout: SwiftLayout, kind: str, *, workers: int, extra: str) -> str:
    return f"""{_defaults(layout, port=getattr(layout.ports, kind), workers=workers)}
devices = {layout.devices}
mount_check = false

[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
log_requests = false
{extra}
"""
