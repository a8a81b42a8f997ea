"""Lifecycle rules in a real colony whose replicator is killed again and again over what they say."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_s3_objects import client_of
from tests.support.colony import Colony

DAY_S = 6
KEYS = 60
DONE_S = 90.0
PAUSES_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


def history(s3: Any, bucket: str) -> tuple[list[str], list[str]]:
    """The keys of all versions of a bucket, and those of all its markers."""
    versions: list[str] = []
    markers: list[str] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions += [one["Key"] for one in page.get("Versions", [])]
        markers += [one["Key"] for one in page.get("DeleteMarkers", [])]
    return versions, markers


def set_rule(s3: Any, **actions: Any) -> None:
    rule = {"ID": "end", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", **actions}
    s3.put_bucket_lifecycle_configuration(Bucket="kept", LifecycleConfiguration={"Rules": [rule]})


@pytest.mark.timeout(300)
def test_a_replicator_killed_again_and_again_makes_one_marker_for_each_key(tmp_path: Path) -> None:
    with Colony(tmp_path / "data") as colony:
        colony.stop()
        with (colony.data / "colonnade.toml").open("a") as settings:
            settings.write(f"\n[replicator]\nlifecycle_day_s = {DAY_S}\n")
        colony.start()
        s3 = client_of(colony)
        s3.create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
        keys = [f"logs/{number:03}" for number in range(KEYS)]
        for key in keys:
            s3.put_object(Bucket="kept", Key=key, Body=b"x")
        s3.put_object_legal_hold(Bucket="kept", Key=keys[0], LegalHold={"Status": "ON"})
        s3.put_object(Bucket="kept", Key="other", Body=b"x")
        set_rule(s3, Expiration={"Days": 1})
        time.sleep(DAY_S)
        for work_s in PAUSES_S:
            # Not at once: it is to die over its work, not over its start.
            time.sleep(work_s)
            colony.wait_revived("replicator", colony.kill("replicator"))
        give_up = time.monotonic() + DONE_S
        while len(history(s3, "kept")[1]) < KEYS:
            assert time.monotonic() < give_up, history(s3, "kept")
            time.sleep(0.5)
        versions, markers = history(s3, "kept")
        assert sorted(versions) == [*keys, "other"]
        assert sorted(markers) == keys
        # Markers over nothing go with the versions they hid, but for the one that a hold keeps.
        set_rule(s3, Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1})
        give_up = time.monotonic() + DONE_S
        while history(s3, "kept") != ([keys[0], "other"], [keys[0]]):
            assert time.monotonic() < give_up, history(s3, "kept")
            time.sleep(1)
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="kept")["Contents"]] == ["other"]
        (told,) = colony.command("status").stdout.splitlines()[-1:]
        assert "lifecycle rules of 1 buckets" in told
