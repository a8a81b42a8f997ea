"""Addresses, bucket names and keys."""

import pytest

from proxy.s3.errors import S3Error
from proxy.s3.names import check_key, is_bucket_name, read_address
from proxy.s3.router import Level


@pytest.mark.parametrize(
    ("raw_path", "host", "bucket", "key"),
    [
        ("/", "h", "", ""),
        ("/bucket", "h", "bucket", ""),
        ("/bucket/", "h", "bucket", ""),
        ("/bucket/a/b", "h", "bucket", "a/b"),
        ("/bucket//a/", "h", "bucket", "/a/"),
        ("/bucket/../.", "h", "bucket", "../."),
        ("/bucket/a%2Fb%20c+d%25", "h", "bucket", "a/b c+d%"),
        ("/bucket/%F0%9F%92%BE", "h", "bucket", "💾"),
        ("/key/x", "bucket.s3.example.org", "bucket", "key/x"),
        ("//x", "bucket.s3.example.org:8080", "bucket", "/x"),
        ("/", "my.dotted.bucket.S3.Example.ORG", "my.dotted.bucket", ""),
        ("/bucket/k", "s3.example.org", "bucket", "k"),
        ("/bucket/k", "xs3.example.org", "bucket", "k"),
        ("/bucket/k", "[::1]:80", "bucket", "k"),
    ],
)
def test_addresses_by_path_and_by_virtual_host(raw_path: str, host: str, bucket: str, key: str) -> None:
    address = read_address(raw_path, host, ("s3.example.org",))
    assert (address.bucket, address.key) == (bucket, key)


def test_levels_follow_from_addresses() -> None:
    levels = [read_address(path, "h", ()).level for path in ("/", "/b", "/b/k")]
    assert levels == [Level.SERVICE, Level.BUCKET, Level.OBJECT]


@pytest.mark.parametrize("name", ["abc", "a.b-c", "0numbers9", "a" * 63, "1.2.3"])
def test_valid_bucket_names(name: str) -> None:
    assert is_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("ab", "a" * 64, "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "a.-b", "1.2.3.4", "xn--a"),
        *("ä-name", "a b", "name-s3alias", "name--ol-s3", "abc\n"),
    ],
)
def test_invalid_bucket_names(name: str) -> None:
    assert not is_bucket_name(name)


def test_keys_are_bounded_in_bytes() -> None:
    assert check_key("ü" * 512) == "ü" * 512
    for key, code in (("ü" * 513, "KeyTooLongError"), ("\udcff", "InvalidURI"), ("\0hidden", "InvalidURI")):
        with pytest.raises(S3Error) as caught:
            check_key(key)
        assert caught.value.code == code
