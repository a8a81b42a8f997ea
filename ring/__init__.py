"""Placement: the topology, its quotas, the placement table, the ring file, and the `ringctl` command."""
