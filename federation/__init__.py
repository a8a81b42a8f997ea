"""Joins colonies and foreign stores under declarative replication policies with signed proof."""
