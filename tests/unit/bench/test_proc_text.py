"""Claims about reading /proc: odd names, worker trees and daemons that changed parent."""

from bench.proc_text import ProcessStat, parse_peak_rss_bytes, parse_stat, select_tree

STAT = "42 (a) b (c) S 7 40 41 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 5 0 12345 1000 50"


def test_a_name_may_hold_parentheses_and_spaces() -> None:
    assert parse_stat(STAT) == ProcessStat(
        pid=42, state="S", parent_pid=7, session_id=41, cpu_ticks=11 + 22 + 33 + 44
    )


def test_peak_memory_is_read_in_bytes() -> None:
    assert parse_peak_rss_bytes("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n") == 2048 * 1024
    assert parse_peak_rss_bytes("Name:\tkthreadd\n") == 0


def test_a_tree_holds_roots_descendants_and_their_sessions() -> None:
    stats = [
        ProcessStat(10, "S", 1, 10, 0),  # a root, leader of its session
        ProcessStat(11, "S", 10, 10, 0),  # its worker
        ProcessStat(12, "S", 11, 12, 0),  # a worker of the worker, in a session of its own
        ProcessStat(13, "S", 1, 10, 0),  # a daemon of its session that changed parent
        ProcessStat(20, "S", 1, 20, 0),  # a stranger
    ]
    assert [stat.pid for stat in select_tree(stats, [10])] == [10, 11, 12, 13]
    assert select_tree(stats, [99]) == ()
