"""What the replicator tells of itself, on its socket and to `colonnade status`. Pure.

`status` answers with a map; fields are only ever added:

    format                1
    node, epoch           this node's name; the ring epoch under which it works
    ring_phase            initial, write_both, read_new or settled
    last_round_ms         when the last round of comparison ended, milliseconds since the epoch; 0 for never
    round_took_ms         how long it took
    out_of_step           partitions led by this node that differed in the last round
    partitions_left       of those, how many are still to be mended
    queue                 keys known to lack a copy: hints and quarantined records not mended yet
    lost                  quarantined records of which no good copy was found
    pending               unfinished writes of dead proxies seen and not yet reconciled
    strays_left           partitions held by devices here that are not their homes
    filling               devices here that came back empty and are being filled
    moving                {total, done, decision} of a ring change under way; total 0 for none
    entries_per_s, bytes_per_s, partitions_per_s   rates over the last half minute
    entries_moved, bytes_moved                     since the process started
    eta_s                 seconds until everything is in step at this rate; nil where it is not known
    counts                {mended, reconciled, handed_back, reclaimed, expired, orphans, lifecycle_expired,
                          lifecycle_removed, lifecycle_aborted, lifecycle_held}
    lifecycle             {last_pass_ms, took_ms, buckets, rows, failed} of the last whole pass of lifecycle
                          rules here, 0 for never; {is_walking, buckets_so_far, rows_so_far} of this one
    workers               [{name, state, done, total, errors, last_error, busy_s}, …]
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1
