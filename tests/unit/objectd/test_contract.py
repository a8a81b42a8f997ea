"""Claims of the wire contract: what is packed comes back as it was, through msgpack."""

from typing import Any

import msgpack
import pytest

from model.entry import Table
from model.errors import BadRequest, CorruptRecord
from model.listing import Query
from objectd.contract import (
    Change,
    Confirmation,
    DeviceStatus,
    Group,
    Health,
    NodeStatus,
    Origin,
    Pending,
    Phase,
    Range,
    check_table,
    epoch_of,
    pack_changes,
    pack_commit,
    pack_digests,
    pack_entries,
    pack_group,
    pack_pending,
    pack_query,
    pack_ranges,
    pack_read,
    pack_rows,
    pack_status,
    split_epoch,
    unpack_changes,
    unpack_commit_reply,
    unpack_digests,
    unpack_entries,
    unpack_group,
    unpack_pending,
    unpack_query,
    unpack_ranges,
    unpack_rows,
    unpack_status,
)
from objectd.repair_hints import RepairHints
from objectd.service_metrics import LatencyHistogram
from objectd.store import Outcome
from tests.support.objectd_node import object_entry, stamp, write_of


def through_wire(packed: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(packed), strict_map_key=False)


def test_a_commit_says_where_each_payload_lies() -> None:
    entry = object_entry("o", stamp(1), 3)
    writes = [
        write_of(entry, (0, 1), 2, payload=1),
        write_of(entry, (2,), staged={2: 99}, guard=b"g", if_empty=True, origin=Origin.REPAIR),
    ]
    confirmations = [Confirmation(b"k", stamp(1), (1,))]
    epoch, packed, confirmed = through_wire(pack_commit(5, writes, [b"abcd", b"efg"], confirmations))
    assert epoch == 5
    assert packed[0] == [entry.key, entry.to_row(), [0, 1], 2, 4, 3, None, None, False, 1]
    assert packed[1] == [entry.key, entry.to_row(), [2], 0, -1, 0, {2: 99}, b"g", True, 2]
    assert confirmed == [[b"k", stamp(1), [1]]]


def test_outcomes_come_back_typed() -> None:
    ((one,),) = unpack_commit_reply(through_wire([[(3, 3, stamp(7))]]))
    assert one == (3, Outcome.SUPERSEDED, stamp(7))
    assert one.outcome is Outcome.SUPERSEDED


def test_a_read_without_payload_asks_for_no_bytes() -> None:
    assert pack_read(1, b"k", (0,), 1, None)[4:] == (0, 0)
    assert pack_read(1, b"k", (0,), 1, (5, None))[4:] == (5, -1)


def test_epochs_are_ordered_and_split_again() -> None:
    epochs = [epoch_of(version, phase) for version in (1, 2) for phase in Phase]
    assert epochs == sorted(set(epochs))
    assert split_epoch(epoch_of(7, Phase.READ_NEW)) == (7, Phase.READ_NEW)


def test_every_form_comes_back_as_it_was() -> None:
    query = Query(b"p", b"/", b"m", b"e", 5, True, True)
    assert unpack_query(through_wire(pack_query(query))) == query
    group = Group(1, 2, (1 << 128) - 1, 4)
    assert unpack_group(through_wire(pack_group(9, group))) == (9, group)
    rows = [(b"a", b"1"), (b"b", b"2")]
    assert unpack_rows(pack_rows(rows)) == rows
    ranges = [Range(b"a", b"b", 3, 1 << 127)]
    assert unpack_ranges(through_wire(pack_ranges(ranges))) == ranges
    digests = {70_000: 5, 1: (1 << 128) - 1}
    assert unpack_digests(pack_digests(digests)) == digests
    entries = [(b"k", b"row", 5)]
    assert [tuple(one) for one in unpack_entries(pack_entries(entries))] == entries
    changes = [Change(1, b"n", b"r")]
    assert unpack_changes(through_wire(pack_changes(changes))) == changes
    pending = [Pending(b"k", stamp(1), 10)]
    assert unpack_pending(through_wire(pack_pending(pending))) == pending
    device = DeviceStatus(1, "/d", Health.READ_ONLY, "full", 1, 2, 3, 4, 5, 6, 7)
    status = NodeStatus(1, "n", 4, 99, True, [device], 3, [2])
    assert unpack_status(through_wire(pack_status(status))) == status


@pytest.mark.parametrize("unpack", [unpack_rows, unpack_entries, unpack_digests])
def test_what_is_torn_is_not_taken_for_whole(unpack: Any) -> None:
    with pytest.raises(CorruptRecord):
        unpack(msgpack.packb([b"a", b"b", b"c", b"d", b"e"])[:-1])


def test_an_unknown_table_is_refused() -> None:
    assert check_table(1) is Table.OBJECT
    with pytest.raises(BadRequest):
        check_table(9)


def test_hints_are_kept_once_and_in_bounds() -> None:
    hints = RepairHints(2)
    hints.note(b"a", (1,), 0)
    hints.note(b"a", (1, 2), 1)
    hints.note(b"b", (1,), 2)
    hints.note(b"c", (1,), 3)
    assert hints.dropped_count == 1
    assert [(hint.key, hint.devices) for hint in hints.take(5)] == [(b"b", [1]), (b"c", [1])]
    assert len(hints) == 0


def test_latencies_are_counted_by_powers_of_two() -> None:
    histogram = LatencyHistogram()
    for latency_s in (0.0, 1e-6, 3e-6, 100.0):
        histogram.observe(latency_s)
    assert histogram.count == 4
    buckets = dict(histogram.cumulated())
    assert (buckets["1e-06"], buckets["2e-06"], buckets["4e-06"], buckets["+Inf"]) == (1, 2, 3, 4)
