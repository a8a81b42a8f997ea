"""Stateless workers that authenticate, place and store, speaking S3 and Swift over one namespace."""
