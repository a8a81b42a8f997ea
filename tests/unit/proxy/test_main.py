"""What a proxy makes of its settings."""

from dataclasses import replace

import pytest

from kit.settings import ProxySettings, Settings
from proxy.encryption.defaults import AES256, BucketEncryption, CustomerKeys
from proxy.main import customer_keys, default_encryption


def settings(proxy: ProxySettings) -> Settings:
    """Settings with these of the proxy."""
    return replace(Settings(), proxy=proxy)


@pytest.mark.parametrize(
    ("bind", "said", "taken"),
    [
        ("127.0.0.1", "loopback", True),
        ("127.1.2.3", "loopback", True),
        ("::1", "loopback", True),
        ("[::1]", "loopback", True),
        ("localhost", "loopback", True),
        ("0.0.0.0", "loopback", False),
        ("::", "loopback", False),
        ("", "loopback", False),
        ("10.0.0.1", "loopback", False),
        ("storage.example", "loopback", False),
        ("10.0.0.1", "always", True),
        ("127.0.0.1", "never", False),
    ],
)
def test_customers_keys_go_over_plain_http_where_the_operator_lets_them(
    bind: str, said: str, taken: bool
) -> None:
    wanted = CustomerKeys.ANY if taken else CustomerKeys.TLS_ONLY
    assert customer_keys(settings(ProxySettings(bind=bind, s3_sse_c_over_http=said))) is wanted


def test_containers_are_plain_by_default_until_the_operator_says_otherwise() -> None:
    assert default_encryption(settings(ProxySettings())) is None
    assert default_encryption(settings(ProxySettings(default_encryption="AES256"))) == BucketEncryption(
        AES256
    )
