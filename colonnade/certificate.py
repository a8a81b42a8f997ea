"""Self-signed certificates for HTTPS: made by `colonnade up --tls-port` and `colonnade certificate`.

They are for trying out, tests and closed networks: a client must be told to trust them.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from colonnade.cli_frame import data_option, emit, json_option, told_errors
from colonnade.folder import SECRET_MODE, Folder, open_folder
from colonnade.node_config import CERTIFICATE_SETTING, KEY_SETTING, read_settings
from ring.loader import write_durably

DAYS: Final = 825
"""What browsers and some TLS libraries take at most."""
CERTIFICATE_MODE: Final = 0o644
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def write_self_signed(folder: Folder, names: Iterable[str], *, days: int = DAYS) -> tuple[Path, Path]:
    """Write a new certificate and its key into a data folder, over what was there; returns their paths.

    It is good for this machine's own names and for `names`: host names, each with all names one label
    below it (the virtual hosts of buckets), and addresses.
    """
    certificate, key = make_self_signed((*_HERE, *names), days=days)
    folder.tls.mkdir(mode=0o700, exist_ok=True)
    paths = (folder.root / CERTIFICATE_SETTING, folder.root / KEY_SETTING)
    # The key first: a crash between the two leaves a pair that does not fit, which a worker refuses.
    write_durably(paths[1], key, SECRET_MODE)
    write_durably(paths[0], certificate, CERTIFICATE_MODE)
    return paths


def make_self_signed(names: Iterable[str], *, days: int = DAYS) -> tuple[bytes, bytes]:
    """Return a new self-signed certificate and its private key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Colonnade, self-signed")])
    now = dt.datetime.now(dt.UTC)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clients whose clocks lag a little take it at once.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(public, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _alternatives(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found += [x509.DNSName(name), x509.DNSName(f"*.{name}")]
    return found


@click.command()
@click.option("--name", "names", multiple=True, help="A further host name or address; repeatable.")
@click.option("--days", type=click.IntRange(1, 36_500), default=DAYS, show_default=True)
@data_option
@json_option
def certificate(names: tuple[str, ...], days: int, data: Path, as_json: bool) -> None:
    """Make a self-signed certificate for HTTPS in DATA/tls, over the one that is there.

    It is good for localhost, 127.0.0.1, ::1, the domains of `proxy.s3_domains` with the buckets below
    them, and the names given. `colonnade restart proxy` takes it up.
    """
    with told_errors(as_json=as_json):
        folder = open_folder(data)
        settings = read_settings(folder.config)
        made, key = write_self_signed(folder, (*settings.proxy.s3_domains, *names), days=days)
    if as_json:
        emit({"certificate": str(made), "key": str(key), "days": days})
        return
    click.echo(f"certificate  {made}\nkey          {key}")
    if settings.tls.certificate == str(made):
        click.echo("`colonnade restart proxy` takes it up.", err=True)
    else:
        click.echo(
            f"To serve HTTPS by it, put into {folder.config}:\n\n[tls]\n"
            f'certificate = "{CERTIFICATE_SETTING}"\nkey = "{KEY_SETTING}"\n\nand start the node anew.',
            err=True,
        )
