"""Claims about Swift's configuration: the set-up that it is measured with."""

from configparser import RawConfigParser

from bench.swift_conf import DEVICES, SwiftLayout, SwiftPorts, render_files, ring_commands

LAYOUT = SwiftLayout("/somewhere/etc", "/somewhere/devices", SwiftPorts(1, 2, 3, 4, 5), "someone")


def parsed(name: str) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(render_files(LAYOUT)[name])
    return parser


def test_each_daemon_has_its_workers_on_loopback() -> None:
    workers = {"proxy": "2", "object": "2", "container": "2", "account": "1"}
    for kind, count in workers.items():
        found = parsed(f"{kind}-server.conf")["DEFAULT"]
        assert found["workers"] == count
        assert found["bind_ip"] == "127.0.0.1"
        assert found["user"] == "someone"
        assert found["bind_port"] == str(getattr(LAYOUT.ports, kind))


def test_every_filter_of_the_pipeline_is_configured() -> None:
    conf = parsed("proxy-server.conf")
    *filters, app = conf["pipeline:main"]["pipeline"].split()
    assert app == "proxy-server"
    assert {f"filter:{name}" for name in filters} == {
        name for name in conf.sections() if name.startswith("filter:")
    }
    assert "proxy-logging" not in filters


def test_objects_stay_in_the_page_cache_and_requests_out_of_the_log() -> None:
    found = parsed("object-server.conf")["app:object-server"]
    assert found["keep_cache_private"] == "true"
    assert found["log_requests"] == "false"


def test_each_ring_spreads_three_replicas_over_all_devices() -> None:
    commands = ring_commands(LAYOUT)
    for kind in ("object", "container", "account"):
        verbs = [command[1] for command in commands if command[0].endswith(f"/{kind}.builder")]
        assert verbs == ["create", *["add"] * DEVICES, "rebalance"]
    assert all(command[3] == "3" for command in commands if command[1] == "create")
