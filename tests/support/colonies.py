"""The pytest fixtures of real colonies, shared by the tests of one xdist worker."""

from collections.abc import Iterator

import pytest

from tests.support.colony import Colony

DOMAIN = "s3.localhost"
"""Under it the first label is a bucket, in the colony that tests share."""


@pytest.fixture(scope="session")
def colony(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Colony]:
    """A running colony of one node and four devices, over TLS too and with buckets below DOMAIN.

    Tests that harm it make one of their own.
    """
    options = ("--tls-port", "0", "--domain", DOMAIN)
    with Colony(tmp_path_factory.mktemp("colony") / "data", options=options) as running:
        yield running


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory, clean_environment: None) -> Iterator[Colony]:
    """A running colony of three nodes of two devices: each replica is on a node of its own."""
    with Colony(tmp_path_factory.mktemp("nodes") / "data", nodes=3, devices=2, workers=1) as running:
        yield running
