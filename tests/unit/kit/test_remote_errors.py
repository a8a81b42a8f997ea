"""Errors travel between nodes as they were, and what cannot be known becomes Unavailable."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

import model.errors
from kit.clock import ClockSkew
from kit.remote_errors import decode_error, encode_error
from model.errors import ColonnadeError, ContainerExists, StaleRing, Unavailable


@pytest.mark.parametrize(
    "known",
    [
        value
        for value in vars(model.errors).values()
        if isinstance(value, type) and issubclass(value, ColonnadeError)
    ],
)
def test_every_error_of_the_tree_comes_back_as_itself(known: type[ColonnadeError]) -> None:
    error = known.__new__(known)
    error.args = ("what happened",)
    back = decode_error(msgpack.unpackb(msgpack.packb(encode_error(error))))
    assert type(back) is known
    assert str(back) == "what happened"


def test_attributes_travel_too() -> None:
    back = decode_error(encode_error(ContainerExists("c", "someone")))
    assert isinstance(back, ContainerExists)
    assert back.owner == "someone"
    stale = StaleRing(9)
    stale.__dict__["odd"] = object()
    assert encode_error(stale)[2] == {"epoch": 9}


def test_an_error_outside_the_tree_travels_as_its_nearest_known_class() -> None:
    assert type(decode_error(encode_error(ClockSkew("ahead")))) is Unavailable


@pytest.mark.parametrize(
    "head",
    [None, 1, [], ["A"], ["NewError", "text", {}], [b"x", 1, 2], ["StaleRing", "t", [1]], [["x"], "t", {}]],
)
def test_what_cannot_be_decoded_is_unavailable(head: Any) -> None:
    assert isinstance(decode_error(head), Unavailable)
