"""What a client needs to know of a running node: the file run/endpoints.json, and its words for people. Pure.

The file is the contract with tests and benches; fields are only ever added:

    s3, swift                   URLs: of the S3 API, and of Swift's TempAuth
    s3_https, swift_https       the same over TLS, where it is served
    certificate                 PEM file of the certificate that TLS is served by
    access_key, secret_key      S3 credentials of the first administrator, where this node knows them
    swift_user, swift_key       Swift credentials of the same
    node, data, join            name, data folder, and the address at which other nodes join
    pids                        process ids by role: supervisor (a number), objectd, proxy, replicator (lists)
    admin                       by process name, the URL of its /metrics, /healthz and /readyz
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ADMIN_USER: Final = "admin:admin"
_CREDENTIALS: Final = ("access_key", "secret_key", "swift_user", "swift_key")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the first administrator signs in with."""

    access_key: str
    secret_key: str
    swift_user: str
    swift_key: str

    def plain(self) -> dict[str, str]:
        """Return the fields as endpoints.json names them."""
        return {name: getattr(self, name) for name in _CREDENTIALS}

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Credentials | None:
        """Return the credentials among fields, or None where they are not all there."""
        if not all(plain.get(name) for name in _CREDENTIALS):
            return None
        return Credentials(*(str(plain[name]) for name in _CREDENTIALS))


def environment_lines(endpoints: Mapping[str, Any]) -> list[str]:
    """Return shell lines that make aws, swift and rclone (remote "colonnade") speak to this colony."""
    found = Credentials.of(endpoints)
    access_key, secret_key = (found.access_key, found.secret_key) if found else ("", "")
    swift_user, swift_key = (found.swift_user, found.swift_key) if found else ("", "")
    values = {
        "AWS_ENDPOINT_URL": endpoints["s3"],
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "ST_AUTH": endpoints["swift"],
        "ST_USER": swift_user,
        "ST_KEY": swift_key,
        "RCLONE_CONFIG_COLONNADE_TYPE": "s3",
        "RCLONE_CONFIG_COLONNADE_PROVIDER": "Other",
        "RCLONE_CONFIG_COLONNADE_ENDPOINT": endpoints["s3"],
        "RCLONE_CONFIG_COLONNADE_ACCESS_KEY_ID": access_key,
        "RCLONE_CONFIG_COLONNADE_SECRET_ACCESS_KEY": secret_key,
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def commands_to_paste(endpoints: Mapping[str, Any], credentials: Credentials) -> list[str]:
    """Return three commands, complete with their keys: one for aws, one for swift, one for rclone."""
    s3, swift = endpoints["s3"], endpoints["swift"]
    secret, swift_key = shlex.quote(credentials.secret_key), shlex.quote(credentials.swift_key)
    keys = f"AWS_ACCESS_KEY_ID={credentials.access_key} AWS_SECRET_ACCESS_KEY={secret}"
    remote = (
        f':s3,provider=Other,endpoint="{s3}",access_key_id={credentials.access_key},'
        f"secret_access_key={credentials.secret_key}:"
    )
    return [
        f"{keys} aws --endpoint-url {s3} s3 mb s3://first-bucket",
        f"swift -A {swift} -U {credentials.swift_user} -K {swift_key} list",
        f"rclone lsd {shlex.quote(remote)}",
    ]


def banner(endpoints: Mapping[str, Any], *, first_start: bool, command: str) -> str:
    """Return what `colonnade up` prints when it serves.

    Secrets are shown at the first start alone; `command` is how this `colonnade` is called again.
    """
    data = shlex.quote(str(endpoints["data"]))
    lines = ["", f"The colony at {endpoints['data']} serves:", ""]
    lines += [f"  S3         {endpoints['s3']}", f"  Swift      {endpoints['swift']}"]
    if endpoints.get("s3_https"):
        lines += [f"  S3, TLS    {endpoints['s3_https']}", f"  Swift, TLS {endpoints['swift_https']}"]
        lines.append(f"  certified  {endpoints['certificate']}")
    if endpoints.get("join"):
        lines.append(f"  join       {endpoints['join']}")
    credentials = Credentials.of(endpoints)
    if credentials is not None:
        lines.append("")
        lines.append(f"  access key {credentials.access_key}")
        if first_start:
            lines += [f"  secret key {credentials.secret_key}", f"  Swift user {credentials.swift_user}"]
            lines += [f"  Swift key  {credentials.swift_key}", "", "Try one of these:", ""]
            lines += [f"  {line}" for line in commands_to_paste(endpoints, credentials)]
            lines += ["", f"The secrets are not shown again; `{command} env --data {data}` tells them."]
        else:
            lines += [f"  Swift user {credentials.swift_user}", "", "Try these:", ""]
            lines += [f'  eval "$({command} env --data {data})"']
            lines += ["  aws s3 mb s3://first-bucket", "  swift list", "  rclone lsd colonnade:"]
    lines += ["", f"See `{command} status --data {data}`; Ctrl-C stops it.", ""]
    return "\n".join(lines)
