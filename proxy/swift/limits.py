"""Swift's constraints, as `/info` announces them and requests are held to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Swift request may ask for; sizes in bytes."""

    file_bytes_max: int = 5 * 1024**3 + 2
    meta_name_bytes_max: int = 128
    meta_value_bytes_max: int = 256
    meta_count_max: int = 90
    meta_overall_bytes_max: int = 4096
    header_bytes_max: int = 8192
    object_name_bytes_max: int = 1024
    container_name_bytes_max: int = 256
    account_name_bytes_max: int = 256
    container_listing_limit: int = 10_000
    account_listing_limit: int = 10_000
    manifest_segments_max: int = 1000
    manifest_bytes_max: int = 8 * 1024**2
    manifest_depth_max: int = 10
    dynamic_segments_max: int = 100_000


DEFAULT_LIMITS = Limits()
