"""Claims about presigned requests, held against the example that AWS publishes."""

from datetime import UTC, datetime

from bench.sigv4 import Presigner, S3Keys

NOON_MS = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp() * 1000)
KEYS = S3Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def test_the_published_example_of_a_presigned_get_is_reproduced() -> None:
    presigner = Presigner(KEYS, host="examplebucket.s3.amazonaws.com", now_ms=NOON_MS)
    target = presigner.presign("GET", "/test.txt")
    assert target.startswith("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert "X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&" in target
    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert target.endswith(f"&X-Amz-Signature={expected}")


def test_method_path_query_and_host_all_change_the_signature() -> None:
    base = Presigner(KEYS, host="127.0.0.1:1", now_ms=NOON_MS)
    other = Presigner(KEYS, host="127.0.0.1:2", now_ms=NOON_MS)
    targets = [
        base.presign("GET", "/b/k"),
        base.presign("PUT", "/b/k"),
        base.presign("GET", "/b/l"),
        base.presign("GET", "/b/k", {"max-keys": "5"}),
        other.presign("GET", "/b/k"),
    ]
    assert len({target.rpartition("=")[2] for target in targets}) == len(targets)


def test_the_query_is_sorted_and_quoted() -> None:
    target = Presigner(KEYS, host="h", now_ms=NOON_MS).presign("GET", "/b/a b+c", {"start-after": "x/y z"})
    path, _, query = target.partition("?")
    assert path == "/b/a%20b%2Bc"
    assert query.split("&X-Amz-Signature=")[0].endswith("&start-after=x%2Fy%20z")
