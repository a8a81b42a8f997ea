"""GET of /info and /healthcheck: what this colony can do, and that it is there."""

from __future__ import annotations

import json

from proxy.http.messages import Response
from proxy.swift.call import Call
from proxy.swift.container_headers import POLICY
from proxy.swift.limits import Limits

SWIFT_LEVEL = "2.38.0"
"""The version of Swift whose behaviour the API keeps to; clients choose features by it."""


async def get_info(call: Call) -> Response:
    """Answer with the features and limits, in JSON."""
    body = json.dumps(describe_features(call.limits)).encode()
    return Response(200, [("Content-Type", "application/json; charset=UTF-8")], body)


async def get_health(call: Call) -> Response:
    """Answer that the proxy serves."""
    return Response(200, [("Content-Type", "text/plain")], b"OK")


def describe_features(limits: Limits) -> dict[str, dict[str, object]]:
    """Return what is there, and nothing else: clients take a name here for a promise."""
    return {
        "swift": {
            "version": SWIFT_LEVEL,
            "policies": [{"name": POLICY, "default": True, "aliases": POLICY}],
            "account_autocreate": True,
            "allow_account_management": False,
            "allow_open_expired": False,
            "strict_cors_mode": True,
            "valid_api_versions": ["v1", "v1.0"],
            "max_file_size": limits.file_bytes_max,
            "max_header_size": limits.header_bytes_max,
            "max_meta_count": limits.meta_count_max,
            "max_meta_name_length": limits.meta_name_bytes_max,
            "max_meta_value_length": limits.meta_value_bytes_max,
            "max_meta_overall_size": limits.meta_overall_bytes_max,
            "max_account_name_length": limits.account_name_bytes_max,
            "max_container_name_length": limits.container_name_bytes_max,
            "max_object_name_length": limits.object_name_bytes_max,
            "account_listing_limit": limits.account_listing_limit,
            "container_listing_limit": limits.container_listing_limit,
            "extra_header_count": 0,
        },
        "tempauth": {"account_acls": False},
        "slo": {
            "max_manifest_segments": limits.manifest_segments_max,
            "max_manifest_size": limits.manifest_bytes_max,
            "min_segment_size": 1,
        },
        "dlo": {"max_segments": limits.dynamic_segments_max},
    }
