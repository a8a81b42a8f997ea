"""Sub-resources that a bucket or object can have and none has here: asked for, removed, or set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.http.messages import Response
from proxy.s3 import xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.router import Operation as Op

NOT_CONFIGURED: Final[Mapping[Op, str]] = {
    Op.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    Op.GET_BUCKET_WEBSITE: "NoSuchWebsiteConfiguration",
    Op.GET_BUCKET_ANALYTICS_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_INVENTORY_CONFIGURATION: "NoSuchConfiguration",
    Op.GET_BUCKET_METRICS_CONFIGURATION: "NoSuchConfiguration",
}
"""The error that says by name that there is none."""

EMPTY: Final[Mapping[Op, bytes]] = {
    Op.GET_BUCKET_ACCELERATE_CONFIGURATION: xml_write.root("AccelerateConfiguration", ""),
    Op.GET_BUCKET_LOGGING: xml_write.root("BucketLoggingStatus", ""),
    Op.GET_BUCKET_NOTIFICATION_CONFIGURATION: xml_write.root("NotificationConfiguration", ""),
    Op.GET_BUCKET_REQUEST_PAYMENT: xml_write.root(
        "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"
    ),
    Op.LIST_BUCKET_ANALYTICS_CONFIGURATIONS: xml_write.root(
        "ListBucketAnalyticsConfigurationResult", "<IsTruncated>false</IsTruncated>"
    ),
    Op.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS: xml_write.root(
        "ListBucketIntelligentTieringConfigurationsResult", "<IsTruncated>false</IsTruncated>"
    ),
    Op.LIST_BUCKET_INVENTORY_CONFIGURATIONS: xml_write.root(
        "ListInventoryConfigurationsResult", "<IsTruncated>false</IsTruncated>"
    ),
    Op.LIST_BUCKET_METRICS_CONFIGURATIONS: xml_write.root(
        "ListMetricsConfigurationsResult", "<IsTruncated>false</IsTruncated>"
    ),
}
"""These have an empty answer instead of an error."""

REMOVALS: Final = frozenset(
    (
        Op.DELETE_BUCKET_REPLICATION,
        Op.DELETE_BUCKET_WEBSITE,
    )
)
"""To remove what is not there succeeds, as in AWS."""


async def not_configured(call: Call) -> Response:
    """Answer a question about a sub-resource, or its removal: there is none."""
    path = await enter_as_owner(call)
    await call.colony.container(path)
    if call.operation in EMPTY:
        return xml(EMPTY[call.operation])
    if call.operation in REMOVALS:
        return empty(204)
    raise S3Error(NOT_CONFIGURED[call.operation], details={"BucketName": call.bucket})


async def not_implemented(call: Call) -> Response:
    """Refuse an operation by its name."""
    raise S3Error("NotImplemented", f"{call.operation} is not implemented")
