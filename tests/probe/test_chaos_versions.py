"""Whatever dies under load, no version is lost, changed or out of its order, and nothing deleted returns.

The bucket keeps versions and encrypts by default; parts and conditions are in the load. The length of the
storm is COLONNADE_CHAOS_SECONDS (default 15). A failure prints the seed; COLONNADE_CHAOS_SEED repeats its
choices.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from tests.support.colony import Colony
from tests.support.history import Findings
from tests.support.mixed_load import s3_client
from tests.support.storms import AUDIT_S, HEAL_S, Harmed, ride_out
from tests.support.versions_load import VersionsWriter

SECONDS = float(os.environ.get("COLONNADE_CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("COLONNADE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
WRITERS = 6
BUCKET = "storm-of-versions"

pytestmark = pytest.mark.timeout(SECONDS + 2 * HEAL_S + AUDIT_S)


def test_a_storm_of_kills_leaves_every_version_encrypted_and_in_its_order(tmp_path: Path) -> None:
    findings = Findings()
    stop = threading.Event()
    with Colony(tmp_path / "colony") as colony:
        keys = (colony.s3_endpoint, colony.access_key, colony.secret_key)
        patient = s3_client(*keys, attempts=5)
        patient.create_bucket(Bucket=BUCKET)
        patient.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        patient.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
        writers = [VersionsWriter(s3_client(*keys), BUCKET, n, SEED, findings, stop) for n in range(WRITERS)]
        ride_out(colony, writers, findings, stop, seed=SEED, seconds=SECONDS, harmed=Harmed.ONE)
