"""Surveys tell lasting differences from writes in flight, and name the most urgent first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from model.entry import Table
from replicator.places import all_homes, key_range, leading_device, partitions_led
from replicator.survey import Deferrals, Survey, discords, steady, strays
from ring.change import first_ring
from ring.epoch import Epoch, Phase
from ring.meta import PlacementRules
from ring.topology import Device

DEVICES = [Device(disk, "r", f"z{disk}", f"n{disk}", "d", 1.0, f"n{disk}", "") for disk in range(4)]
RING = first_ring(DEVICES, part_power=4, replicas=3, salt=b"s" * 16, rules=PlacementRules(), created_ms=0)
EPOCH = Epoch(RING, Phase.INITIAL)
LIVE = frozenset(range(4))


def survey(held: Mapping[int, Mapping[int, int]], *, table: Table = Table.OBJECT) -> Survey:
    """A survey in which devices hold digests of one table by partition; devices left out did not answer."""
    digests = {device: {one: of if one is table else {} for one in Table} for device, of in held.items()}
    return Survey(EPOCH.number, digests)


def everywhere(partition: int, *digests: int) -> Survey:
    """A survey in which the homes of one partition hold these digests, in order of home."""
    homes = dict(zip(all_homes(EPOCH, partition), digests, strict=True))
    return survey({disk: {partition: homes[disk]} if disk in homes else {} for disk in range(4)})


def test_equal_digests_are_in_step() -> None:
    assert discords(EPOCH, everywhere(3, 7, 7, 7), lambda _: True) == []


def test_a_difference_is_found_in_its_table_and_partition() -> None:
    (found,) = discords(EPOCH, everywhere(3, 7, 7, 8), lambda _: True)
    assert (found.partition, found.tables, found.agreeing) == (3, (Table.OBJECT,), 2)


def test_the_fewest_live_copies_come_first() -> None:
    first, second = everywhere(3, 7, 7, 0), everywhere(5, 7, 0, 0)
    joined = {
        disk: {one: {**first.digests[disk][one], **second.digests[disk][one]} for one in Table}
        for disk in range(4)
    }
    found = discords(EPOCH, Survey(EPOCH.number, joined), lambda _: True)
    assert [(one.partition, one.agreeing) for one in found] == [(5, 1), (3, 2)]


def test_a_partition_whose_every_home_changed_meanwhile_is_put_off_for_a_while() -> None:
    deferrals = Deferrals()
    verdicts = []
    for turn in range(4):
        before = everywhere(3, 10 * turn + 1, 10 * turn + 2, 10 * turn + 3)
        after = everywhere(3, 10 * turn + 4, 10 * turn + 5, 10 * turn + 6)
        found = discords(EPOCH, after, lambda _: True)
        verdicts.append(bool(steady(before, after, found, deferrals, deferrals_max=3)))
    assert verdicts == [False, False, False, True]


def test_a_home_that_stands_still_while_others_write_is_mended_at_once() -> None:
    before, after = everywhere(3, 1, 2, 9), everywhere(3, 3, 3, 9)
    found = discords(EPOCH, after, lambda _: True)
    assert steady(before, after, found, Deferrals(), deferrals_max=3) == found


def test_a_write_that_was_in_flight_once_is_none_of_repairs_business() -> None:
    before, after = everywhere(3, 1, 1, 1), everywhere(3, 2, 2, 1)
    found = discords(EPOCH, after, lambda _: True)
    assert steady(before, after, found, Deferrals(), deferrals_max=3) == []


def test_strays_are_what_a_device_holds_of_others() -> None:
    foreign = next(part for part in range(16) if 0 not in all_homes(EPOCH, part))
    own = next(part for part in range(16) if 0 in all_homes(EPOCH, part))
    assert strays(EPOCH, survey({0: {foreign: 5, own: 6}}), [0]) == [(0, foreign)]


def test_each_partition_is_led_by_exactly_one_live_node() -> None:
    for down in range(4):
        live = LIVE - {down}
        for partition in range(16):
            leaders = [
                f"n{disk}" for disk in range(4) if partitions_led(EPOCH, f"n{disk}", live=live)(partition)
            ]
            assert len(leaders) == 1
            assert leaders != [f"n{down}"]


def test_a_home_that_fills_leads_since_it_needs_it_most() -> None:
    for partition in range(16):
        for home in all_homes(EPOCH, partition):
            homes = all_homes(EPOCH, partition)
            assert leading_device(homes, partition, live=LIVE, filling={home}) == home


def test_the_lead_is_spread_over_the_nodes() -> None:
    leads = [leading_device(all_homes(EPOCH, part), part, live=LIVE) for part in range(16)]
    assert set(leads) == set(LIVE)


def test_key_ranges_of_partitions_follow_one_another_through_the_whole_table() -> None:
    ranges = [key_range(Table.INDEX, partition, 4) for partition in range(16)]
    assert ranges[0][0] == bytes((Table.INDEX,)) + bytes(16)
    assert ranges[-1][1] == bytes((Table.INDEX + 1,))
    assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges))
