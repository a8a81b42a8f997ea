"""Self-signed certificates: what they are good for, who may read the key, and how a colony gets one."""

import json
import ssl
import stat
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509

from colonnade.certificate import make_self_signed
from colonnade.cli import main
from colonnade.cli_run import up
from colonnade.founding import Wishes, found_colony
from colonnade.node_config import read_settings
from proxy.http.tls import server_context


def names_in(certificate: bytes) -> set[str]:
    found = x509.load_pem_x509_certificate(certificate)
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in alternatives}


def test_a_certificate_is_good_for_hosts_addresses_and_the_buckets_below_hosts() -> None:
    certificate, _ = make_self_signed(("localhost", "::1", "s3.example"))
    assert names_in(certificate) == {"localhost", "*.localhost", "::1", "s3.example", "*.s3.example"}


def test_a_colony_founded_with_tls_has_a_pair_that_its_proxy_takes(tmp_path: Path) -> None:
    (folder,) = found_colony(
        tmp_path / "data", Wishes(port=0, tls_port=0, domains=("s3.localhost",), host="127.0.0.1")
    )
    tls = read_settings(folder.config).tls
    assert tls.port != 0
    assert isinstance(server_context(tls.certificate, tls.key, minimum="1.2"), ssl.SSLContext)
    assert stat.S_IMODE(Path(tls.key).stat().st_mode) == 0o600
    assert "*.s3.localhost" in names_in(Path(tls.certificate).read_bytes())


def test_a_colony_founded_without_tls_serves_none_until_a_pair_is_made_and_set(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    assert read_settings(folder.config).tls.certificate == ""
    told = CliRunner().invoke(
        main, ["certificate", "--name", "storage.example", "--json", "--data", str(folder.root)]
    )
    made = json.loads(told.stdout)
    assert isinstance(server_context(made["certificate"], made["key"], minimum="1.3"), ssl.SSLContext)
    assert "*.storage.example" in names_in(Path(made["certificate"]).read_bytes())


def test_a_later_start_refuses_another_tls_port_or_domain(tmp_path: Path) -> None:
    (folder,) = found_colony(tmp_path / "data", Wishes(port=0))
    for option, value, instead in (("--tls-port", "0", "tls.port"), ("--domain", "x.y", "s3_domains")):
        refused = CliRunner().invoke(up, ["--data", str(folder.root), option, value])
        assert refused.exit_code == 2
        assert option in refused.output
        assert instead in refused.output
