"""Requests signed by version 2: by path, by virtual host, and refused where the settings say so."""

import hmac
from base64 import b64encode
from email.utils import formatdate

from proxy.s3.call import Settings, VersionTwo
from tests.unit.proxy.s3.client import Answer, World


def send(world: World, host: str, path: str, resource: str) -> Answer:
    key = world.admin.key
    assert key is not None
    date = formatdate(world.now_ms / 1000, usegmt=True)
    to_sign = f"GET\n\n\n{date}\n{resource}"
    signature = b64encode(hmac.digest(key.secret.encode(), to_sign.encode(), "sha1")).decode()
    headers = {"host": host, "date": date, "authorization": f"AWS {key.id}:{signature}"}
    return world.admin.send("GET", path, b"", headers)


def world_with(settings: Settings) -> World:
    world = World(settings)
    world.admin("PUT", "/bucket")
    world.admin("PUT", "/bucket/a%20b", b"bytes")
    return world


def test_the_bucket_is_signed_whether_path_or_host_name_it() -> None:
    world = world_with(Settings(domains=("example.net",)))
    assert send(world, "elsewhere", "/bucket/a%20b", "/bucket/a%20b").body == b"bytes"
    assert send(world, "bucket.example.net", "/a%20b", "/bucket/a%20b").body == b"bytes"
    assert send(world, "bucket.example.net", "/a%20b", "/a%20b").code == "SignatureDoesNotMatch"


def test_an_operator_may_refuse_version_2() -> None:
    world = world_with(Settings(version2=VersionTwo.REFUSED))
    refused = send(world, "elsewhere", "/bucket/a%20b", "/bucket/a%20b")
    assert (refused.status, refused.code) == (400, "InvalidRequest")
