"""The AWS SDK for JavaScript, over http by virtual host and over TLS by path."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support.addresses import address_of
from tests.support.colony import Colony
from tests.support.programs import require_program

SOURCE = Path(__file__).parent / "javascript"
NODE_MIN = 20
INSTALLED = Path(sys.prefix) / "javascript"


@pytest.mark.parametrize(("scheme", "style"), [("http", "path"), ("http", "virtual"), ("https", "virtual")])
def test_the_sdk_for_javascript_stores_streams_and_reads_them_back(
    colony: Colony, tmp_path: Path, scheme: str, style: str
) -> None:
    node = require_program("node")
    version = subprocess.run(
        [node, "--version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE_MIN:
        pytest.skip(f"the SDK needs Node {NODE_MIN}, and here is {version.strip()}")
    if not (INSTALLED / "node_modules" / "@aws-sdk").is_dir():
        pytest.skip(
            "the SDK is not here (make javascript installs it where npm and its registry are reached)"
        )
    address = address_of(colony, scheme, style)
    bucket = f"js-{uuid.uuid4().hex}"
    s3 = address_of(colony, "http").client()
    s3.create_bucket(Bucket=bucket)
    # Node looks for packages beside the script.
    script = Path(shutil.copy(SOURCE / "client.mjs", tmp_path))
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node_modules")
    said = {
        "endpoint": address.url,
        "bucket": bucket,
        "style": style,
        "accessKey": address.access_key,
        "secretKey": address.secret_key,
    }
    done = subprocess.run(
        [node, str(script), json.dumps(said)],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": address.certificate},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    read = json.loads(done.stdout)
    assert (read["text"], read["metadata"]) == ("text", {"side": "a"})
    assert read["large"] == read["wanted"]
    assert read["stream"] == "a stream of known length"
    assert (read["keys"], read["left"]) == (["a b/ü+%.txt", "large", "stream"], 0)
    s3.delete_bucket(Bucket=bucket)
