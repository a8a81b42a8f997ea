"""In all orders of a small world a conditional write has one winner, and what is acknowledged stays.

And each rule is needed: with one of them broken the search finds the order that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from model.promises import Decision, Next, decide, refuses
from proxy.operations.consensus import After, Own, after_accept
from proxy.operations.quorum import Verdict
from tests.support.small_world import Plan, Rules, Search, Violation, hidden_behind_silence, overtaken


def _create(value: str, *stamps: int) -> Plan:
    return Plan(value, stamps, conditional=True)


WORLDS: dict[str, Callable[[Rules], Search]] = {
    "one creates, others read": lambda rules: Search((_create("a", 10),), 3, rules),
    "a plain write before the ballot": lambda rules: Search((_create("a", 20), Plan("p", (10,))), 0, rules),
    "two create": lambda rules: Search((_create("a", 10), _create("b", 20)), 0, rules),
    "one is overtaken and tries again": lambda rules: Search(
        (_create("a", 10, 30), _create("b", 20)), 0, rules, overtaken(10, 20)
    ),
    "one is overtaken, and read": lambda rules: Search(
        (_create("a", 10), _create("b", 20)), 2, rules, overtaken(10, 20)
    ),
    "one creates, one replaces": lambda rules: Search(
        (_create("a", 10), Plan("b", (20,), conditional=True, expected="a")), 0, rules
    ),
    "a plain write behind the ballot, read": lambda rules: Search(
        (_create("a", 10), Plan("p", (20,))), 1, rules
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_every_order_of_a_small_world_can_be_explained(name: str) -> None:
    assert WORLDS[name](Rules()).run() > 100


def _promises_bind_nobody(*given: Any) -> bool:
    return False


def _any_ballot_will_do(entry: Any, ours: Any, promise: Any, ballot: Any) -> bool:
    return False if ballot is not None else refuses(entry, ours, promise, ballot)


def _hidden_is_done(verdict: Verdict, *, unseen: bool, anywhere: bool) -> After:
    return (
        After.DONE if verdict is Verdict.HIDDEN else after_accept(verdict, unseen=unseen, anywhere=anywhere)
    )


def _a_doubt_is_none(verdict: Verdict, *, unseen: bool, anywhere: bool) -> After:
    return After.DONE if verdict is Verdict.DURABLE else After.AGAIN


def _nothing_is_finished(*sets: Any, **options: Any) -> Decision:
    decision = decide(*sets, **options)
    return decision if decision.step is Next.SETTLED else Decision(Next.SETTLED)


def _nothing_is_written_anew(*sets: Any, **options: Any) -> Decision:
    decision = decide(*sets, **options)
    return replace(decision, step=Next.FINISH) if decision.step is Next.ANEW else decision


def _own_tries_are_forgotten(state: Any, doubtful: Any) -> Own:
    return Own.NONE


MUTATIONS: dict[str, Rules] = {
    "promises bind nobody": Rules(refuses=_promises_bind_nobody),
    "any ballot will do": Rules(refuses=_any_ballot_will_do),
    "hidden is done": Rules(after_accept=_hidden_is_done),
    "a doubt is none": Rules(after_accept=_a_doubt_is_none),
    "nothing is finished": Rules(decide=_nothing_is_finished),
    "own tries are forgotten": Rules(own_part=_own_tries_are_forgotten),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_search_finds_what_a_broken_rule_does(name: str) -> None:
    for search in WORLDS.values():
        try:
            search(MUTATIONS[name]).run()
        except Violation:
            return
    pytest.fail(f"no order goes wrong though {name}")


def test_the_search_finds_what_comes_of_finishing_where_a_silent_home_may_hold_something_newer() -> None:
    # All orders of this world are too many to try at each run; the one that goes wrong comes early.
    plans = (_create("b", 10), Plan("p", (5,)), _create("c", 20), _create("d", 30))
    rules = Rules(decide=_nothing_is_written_anew)
    with pytest.raises(Violation):
        Search(plans, 0, rules, hidden_behind_silence()).run()
