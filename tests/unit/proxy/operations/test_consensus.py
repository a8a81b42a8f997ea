"""What a proposer concludes from the answers to its ballot."""

from __future__ import annotations

from model.entry import Entry, Kind, Table, make_key
from model.promises import Next, Promised, anew, decide, stamps_of
from model.stamp import ZERO, Stamp, make_stamp
from proxy.operations.consensus import After, Ballot, Own, Standing, after_accept, own_part
from proxy.operations.quorum import Verdict

KEY = make_key(Table.OBJECT, bytes(16))
HOMES = ((1, 2, 3),)


def stamp(at: int) -> Stamp:
    return make_stamp(at, 0, 7)


def entry(at: int) -> Entry:
    return Entry(KEY, stamp(at), Kind.DATA, 1, b"%d" % at)


def told(at: int | None, before: int = 0) -> Promised:
    return Promised(stamp(before) if before else ZERO, {} if at is None else {KEY: entry(at)})


def test_a_ballot_needs_a_majority_of_every_home_set() -> None:
    ballot = Ballot(((1, 2, 3), (3, 4, 5)))
    for device in (1, 2, 3):
        assert ballot.standing() is Standing.WAITING
        ballot.granted(device, told(None))
    assert ballot.standing() is Standing.WAITING
    ballot.granted(4, told(None))
    assert ballot.standing() is Standing.GRANTED


def test_a_ballot_is_refused_once_no_majority_can_come_of_it() -> None:
    ballot = Ballot(HOMES)
    ballot.refused(1, stamp(9))
    assert ballot.standing() is Standing.WAITING
    ballot.failed(2)
    assert (ballot.standing(), ballot.newest) == (Standing.REFUSED, stamp(9))


def test_what_a_majority_holds_is_settled() -> None:
    decision = decide(HOMES, HOMES, {1: told(5, 8), 2: told(5, 8)}, KEY)
    assert (decision.step, decision.state) == (Next.SETTLED, (entry(5),))


def test_what_a_minority_holds_is_finished_as_it_is_where_nothing_newer_can_be_hidden() -> None:
    assert decide(HOMES, HOMES, {1: told(5), 2: told(None), 3: told(None, 8)}, KEY).step is Next.FINISH
    assert decide(HOMES, HOMES, {1: told(5), 2: told(4, 5)}, KEY).step is Next.FINISH


def test_what_a_minority_holds_is_written_anew_where_a_silent_home_may_hold_something_newer() -> None:
    decision = decide(HOMES, HOMES, {1: told(5), 2: told(None, 8)}, KEY)
    assert (decision.step, decision.entry) == (Next.ANEW, entry(5))


def test_an_entry_written_anew_remembers_all_the_stamps_it_had() -> None:
    twice = anew(anew(entry(5), stamp(8)), stamp(9))
    assert stamps_of(twice) == {stamp(5), stamp(8), stamp(9)}
    assert twice.value == entry(5).value


def test_a_try_that_may_be_found_is_never_forgotten() -> None:
    assert after_accept(Verdict.FAILED, unseen=False, anywhere=True) is After.DOUBT
    assert after_accept(Verdict.HIDDEN, unseen=False, anywhere=True) is After.DOUBT
    assert after_accept(Verdict.HIDDEN, unseen=True, anywhere=True) is After.AGAIN
    assert after_accept(Verdict.FAILED, unseen=False, anywhere=False) is After.AGAIN


def test_a_settled_state_tells_of_earlier_tries() -> None:
    doubtful = {stamp(5)}
    assert own_part((), doubtful) is Own.NONE
    assert own_part((entry(4),), doubtful) is Own.NONE
    assert own_part((entry(5),), doubtful) is Own.DONE
    assert own_part((anew(entry(5), stamp(8)),), doubtful) is Own.DONE
    assert own_part((entry(6),), doubtful) is Own.UNKNOWN
