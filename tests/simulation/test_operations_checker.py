"""The checker of linearizability accepts what can be explained and refuses what cannot."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizability import Act, Operation, Value, is_linearizable


def put(value: Value, begun: int, ended: int | None = None) -> Operation:
    return Operation(Act.WRITE, value, begun, ended)


def get(value: Value, begun: int, ended: int) -> Operation:
    return Operation(Act.READ, value, begun, ended)


def test_a_read_after_a_write_sees_it() -> None:
    assert is_linearizable([put("a", 1, 2), get("a", 3, 4)])
    assert not is_linearizable([put("a", 1, 2), get(None, 3, 4)])


def test_a_read_beside_a_write_may_see_either() -> None:
    for value in (None, "a"):
        assert is_linearizable([put("a", 1, 4), get(value, 2, 3)])


def test_no_reader_goes_back_in_time() -> None:
    writing = put("a", 1, 10)
    assert is_linearizable([writing, get(None, 2, 3), get("a", 4, 5)])
    assert not is_linearizable([writing, get("a", 2, 3), get(None, 4, 5)])


def test_a_write_takes_effect_once() -> None:
    history = [put("a", 1, 20), put("b", 2, 20), get("a", 3, 4), get("b", 5, 6), get("a", 7, 8)]
    assert is_linearizable(history[:4])
    assert not is_linearizable(history)


def test_an_acknowledged_write_does_not_hide_under_an_older_one() -> None:
    assert not is_linearizable([put("a", 1, 2), put("b", 3, 4), get("a", 5, 6)])
    assert is_linearizable([put("a", 1, 4), put("b", 2, 3), get("a", 5, 6)])


def test_a_write_of_unknown_outcome_may_happen_late_or_never() -> None:
    assert is_linearizable([put("a", 1), get(None, 2, 3), get(None, 4, 5)])
    assert is_linearizable([put("a", 1), get(None, 2, 3), get("a", 4, 5)])
    assert not is_linearizable([put("a", 1), get("a", 2, 3), get(None, 4, 5)])
    assert not is_linearizable([get("a", 1, 2), put("a", 3)])


def test_a_deleted_value_comes_back_only_by_another_write() -> None:
    assert not is_linearizable([put("a", 1, 2), put(None, 3, 4), get("a", 5, 6)])
    assert is_linearizable([put("a", 1, 2), put(None, 3), get("a", 5, 6)])
    assert is_linearizable([put("a", 1, 2), put(None, 3, 8), get("a", 5, 6), get(None, 7, 9)])


def _explained_by_some_order(operations: list[Operation]) -> bool:
    """Try every order of every choice of unknown operations: slow, and plainly right."""
    certain = [one for one in operations if one.ended is not None]
    unsure = [one for one in operations if one.ended is None]
    for chosen in range(1 << len(unsure)):
        taken = certain + [one for index, one in enumerate(unsure) if chosen >> index & 1]
        if any(_explains(order) for order in permutations(taken)):
            return True
    return False


def _explains(order: tuple[Operation, ...]) -> bool:
    value: Value = None
    for index, one in enumerate(order):
        if any(later.ended is not None and later.ended < one.begun for later in order[index + 1 :]):
            return False
        if one.act is Act.WRITE:
            value = one.value
        elif one.value != value:
            return False
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    count = draw(st.integers(1, 5))
    moments = draw(st.permutations(range(2 * count)))
    values: list[Value] = ["a", "b", "c", "d", "e"]
    operations = []
    for index in range(count):
        begun, ended = sorted(moments[2 * index : 2 * index + 2])
        if draw(st.booleans()):
            value = draw(st.sampled_from([values[index], None]))
            operations.append(put(value, begun, draw(st.sampled_from([ended, None]))))
        else:
            operations.append(get(draw(st.sampled_from([*values[:count], None])), begun, ended))
    return operations


@settings(max_examples=300)
@given(histories())
def test_the_search_agrees_with_trying_every_order(operations: list[Operation]) -> None:
    assert is_linearizable(operations) is _explained_by_some_order(operations)


def swap(value: Value, expected: Value, begun: int, ended: int | None = None) -> Operation:
    return Operation(Act.SWAP, value, begun, ended, expected=expected)


def test_of_two_that_swap_the_same_value_one_wins() -> None:
    assert is_linearizable([swap("a", None, 1, 4), get("a", 5, 6)])
    assert not is_linearizable([swap("a", None, 1, 4), swap("b", None, 2, 5)])
    assert is_linearizable([swap("a", None, 1, 4), swap("b", "a", 2, 5), get("b", 6, 7)])


def test_who_misses_a_value_must_have_met_another() -> None:
    missed = Operation(Act.MISS, None, 3, 4)
    assert is_linearizable([swap("a", None, 1, 2), missed])
    assert is_linearizable([swap("a", None, 1), missed])
    assert not is_linearizable([missed])
