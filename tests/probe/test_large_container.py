"""Listings of a container of many names are right on every kind of page, through both APIs."""

from __future__ import annotations

import http.client
from time import time_ns

import pytest

from bench.listing_pages import PAGE_NAMES, Container, Place, asks, listed_in, places
from bench.plan import Endpoint, Targets
from bench.sigv4 import S3Keys
from bench.store import s3_endpoint, swift_endpoint
from bench.workload import Api
from tests.support.colony import Colony
from tests.support.many_names import add_names, remove_names

NAMES = 30_000
DELETED = 12_340
PAGES = 4
KINDS = [(api, place) for api in Api for place in places(api)]


def endpoint_of(colony: Colony, api: Api) -> Endpoint:
    if api is Api.S3:
        return s3_endpoint(colony.s3_endpoint, S3Keys(colony.access_key, colony.secret_key))
    return swift_endpoint(colony.swift_auth, user=colony.swift_user, key=colony.swift_key)


def send(endpoint: Endpoint, method: str, container: str, query: dict[str, str]) -> bytes:
    targets = Targets(endpoint, now_ms=time_ns() // 1_000_000)
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=60)
    connection.request(method, targets.query(method, container, query), headers=dict(targets.headers))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert 200 <= answer.status < 300, body
    return body


@pytest.fixture(scope="module", params=[0, DELETED], ids=["whole", "less its first names"])
def filled(request: pytest.FixtureRequest, colony: Colony) -> Container:
    """A container of many names in the colony; of the second one, long runs of tombstones are left."""
    container = Container(NAMES, request.param)
    send(endpoint_of(colony, Api.SWIFT), "PUT", container.title, {})
    account = colony.swift_user.partition(":")[0]
    add_names(colony.data, account, container.title, map(container.scattered, range(NAMES)))
    remove_names(colony.data, account, container.title, map(container.name, range(container.deleted)))
    return container


@pytest.mark.parametrize(("api", "place"), KINDS, ids=[f"{api.value} {place.value}" for api, place in KINDS])
def test_every_kind_of_page_holds_what_it_should(
    colony: Colony, filled: Container, api: Api, place: Place
) -> None:
    endpoint = endpoint_of(colony, api)
    for ask in asks(filled, place, api, count=PAGES):
        body = send(endpoint, "GET", filled.title, dict(ask.query))
        assert listed_in(api, body) == ask.expected


def test_pages_one_after_the_other_show_every_name_once(colony: Colony, filled: Container) -> None:
    endpoint = endpoint_of(colony, Api.SWIFT)
    found: list[str] = []
    while True:
        query = {"format": "json", "limit": str(7 * PAGE_NAMES), "marker": found[-1] if found else ""}
        page = listed_in(Api.SWIFT, send(endpoint, "GET", filled.title, query))
        if not page:
            break
        found += page
    assert found == [filled.name(index) for index in range(filled.deleted, NAMES)]


def test_a_name_that_comes_back_among_deleted_ones_is_listed_at_once(
    colony: Colony, filled: Container
) -> None:
    endpoint = endpoint_of(colony, Api.SWIFT)
    account = colony.swift_user.partition(":")[0]
    middle = filled.name(filled.deleted // 2)
    add_names(colony.data, account, filled.title, [middle])
    first = listed_in(Api.SWIFT, send(endpoint, "GET", filled.title, {"format": "json", "limit": "2"}))
    assert first[0] == (middle if filled.deleted else filled.name(0))
    if filled.deleted:
        remove_names(colony.data, account, filled.title, [middle])
        first = listed_in(Api.SWIFT, send(endpoint, "GET", filled.title, {"format": "json", "limit": "2"}))
        assert first[0] == filled.name(filled.deleted)
