"""Workloads, load generation and reports against any S3 or Swift endpoint."""
