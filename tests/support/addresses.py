"""By which address a client comes to the shared colony: over http or TLS, by path or by virtual host.

Names below DOMAIN lead to this machine only for who is told so: `loopback_names` tells Python programs.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.support.colonies import DOMAIN
from tests.support.colony import Colony

SCHEMES: Final = ("http", "https")
STYLES: Final = ("path", "virtual")

# Runs in each Python that finds it on its path, and only there.
_SITE: Final = f"""\
import socket

_resolve = socket.getaddrinfo


def _resolve_here(host, *arguments, **named):
    here = isinstance(host, str) and host.endswith("{DOMAIN}")
    return _resolve("127.0.0.1" if here else host, *arguments, **named)


socket.getaddrinfo = _resolve_here
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a client is sent: `url` is below DOMAIN for virtual hosts; `certificate` is to be trusted."""

    url: str
    style: str
    certificate: str
    access_key: str
    secret_key: str

    @property
    def scheme(self) -> str:
        """Either http or https."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def environment(self) -> dict[str, str]:
        """What aws-cli, boto3 and others read: keys, region, and the certificate to trust."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CA_BUNDLE": self.certificate,
            "REQUESTS_CA_BUNDLE": self.certificate,
            "SSL_CERT_FILE": self.certificate,
            "LC_ALL": "C.UTF-8",
        }

    def client(self, **config: Any) -> Any:
        """A boto3 client with its defaults, but for one try and the style; `config` overrides."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            verify=self.certificate,
            config=Config(
                signature_version="s3v4",
                retries={"max_attempts": 1, "mode": "standard"},
                s3={"addressing_style": self.style},
                **config,
            ),
        )


def address_of(colony: Colony, scheme: str, style: str = "path") -> Address:
    """Return how to come to the shared colony."""
    url = colony.s3_https if scheme == "https" else colony.s3_endpoint
    if style == "virtual":
        url = f"{scheme}://{DOMAIN}:{urlsplit(url).port}"
    return Address(url, style, colony.certificate, colony.access_key, colony.secret_key)


def write_site(folder: Path) -> str:
    """Write what leads names below DOMAIN to this machine; return the PYTHONPATH that brings it."""
    (folder / "sitecustomize.py").write_text(_SITE)
    return str(folder)


@pytest.fixture
def loopback_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leads names below DOMAIN to this machine, in this process."""
    resolve = socket.getaddrinfo

    def resolve_here(host: Any, *arguments: Any, **named: Any) -> Any:
        here = isinstance(host, str) and host.endswith(DOMAIN)
        return resolve("127.0.0.1" if here else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
