"""The bench of the Swift verbs: a colony in memory, with users."""

from collections.abc import Iterator

import pytest

from proxy.identity.users import ADMIN, MEMBER, RESELLER_ADMIN
from tests.unit.proxy.swift.client import SwiftBench


@pytest.fixture
def swift() -> Iterator[SwiftBench]:
    """An empty colony with an administrator, a plain member, a stranger's account and a reseller."""
    bench = SwiftBench()
    bench.add_user("test:tester", ADMIN)
    bench.add_user("test:tester3", MEMBER)
    bench.add_user("test2:tester2", ADMIN)
    bench.add_user("admin:admin", ADMIN, RESELLER_ADMIN)
    yield bench
    bench.close()
