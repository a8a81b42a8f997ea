"""Healing: finds replicas out of step by their digests, plans repairs, and performs them at a pace."""
