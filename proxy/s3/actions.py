"""Which actions of IAM each operation of S3 needs, and which permission of an ACL opens it too. Pure.

Source: AWS service authorization reference, "Actions, resources, and condition keys for Amazon S3", and
Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from proxy.s3.router import Operation as Op


class Scope(Enum):
    """What an action is done to: an account, a bucket, or an object."""

    ACCOUNT = "account"
    BUCKET = "bucket"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Action:
    """What an operation needs. `versioned` is needed in place of `name` where a version is named."""

    name: str
    scope: Scope
    versioned: str = ""

    def named(self, *, version: bool) -> str:
        """Return the action's name, for a version or not."""
        return self.versioned if version and self.versioned else self.name


def _of_bucket(name: str) -> tuple[Action, ...]:
    return (Action(f"s3:{name}", Scope.BUCKET),)


def _of_object(*names: str) -> tuple[Action, ...]:
    """Return actions on an object; `Get|Acl` is GetAcl, and GetVersionAcl for a version."""
    return tuple(
        Action(f"s3:{name.replace('|', '')}", Scope.OBJECT, f"s3:{name.replace('|', 'Version')}")
        for name in names
    )


PUT_OBJECT: Final = Action("s3:PutObject", Scope.OBJECT)
PUT_OBJECT_ACL: Final = Action("s3:PutObjectAcl", Scope.OBJECT)
PUT_OBJECT_TAGGING: Final = Action("s3:PutObjectTagging", Scope.OBJECT)
PUT_OBJECT_RETENTION: Final = Action("s3:PutObjectRetention", Scope.OBJECT)
PUT_OBJECT_LEGAL_HOLD: Final = Action("s3:PutObjectLegalHold", Scope.OBJECT)
GET_OBJECT: Final = Action("s3:GetObject", Scope.OBJECT, "s3:GetObjectVersion")
GET_OBJECT_TAGGING: Final = Action("s3:GetObjectTagging", Scope.OBJECT, "s3:GetObjectVersionTagging")
DELETE_OBJECT: Final = Action("s3:DeleteObject", Scope.OBJECT, "s3:DeleteObjectVersion")
BYPASS_GOVERNANCE: Final = Action("s3:BypassGovernanceRetention", Scope.OBJECT)
LIST_BUCKET: Final = Action("s3:ListBucket", Scope.BUCKET)

POLICY_ACTIONS: Final = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
"""What no policy can take from an administrator of the bucket's account."""

OPEN: Final = frozenset((Op.PREFLIGHT,))
"""Operations that ask nobody who they are: they tell what a browser may try, and do nothing."""

ACTIONS: Final[Mapping[Op, tuple[Action, ...]]] = {
    Op.ABORT_MULTIPART_UPLOAD: _of_object("AbortMultipartUpload"),
    Op.COMPLETE_MULTIPART_UPLOAD: (PUT_OBJECT,),
    Op.COPY_OBJECT: (PUT_OBJECT,),
    Op.CREATE_BUCKET: (Action("s3:CreateBucket", Scope.ACCOUNT),),
    Op.CREATE_MULTIPART_UPLOAD: (PUT_OBJECT,),
    Op.DELETE_BUCKET: _of_bucket("DeleteBucket"),
    Op.DELETE_BUCKET_CORS: _of_bucket("PutBucketCORS"),
    Op.DELETE_BUCKET_ENCRYPTION: _of_bucket("PutEncryptionConfiguration"),
    Op.DELETE_BUCKET_LIFECYCLE: _of_bucket("PutLifecycleConfiguration"),
    Op.DELETE_BUCKET_OWNERSHIP_CONTROLS: _of_bucket("PutBucketOwnershipControls"),
    Op.DELETE_BUCKET_POLICY: _of_bucket("DeleteBucketPolicy"),
    Op.DELETE_BUCKET_REPLICATION: _of_bucket("PutReplicationConfiguration"),
    Op.DELETE_BUCKET_TAGGING: _of_bucket("PutBucketTagging"),
    Op.DELETE_BUCKET_WEBSITE: _of_bucket("DeleteBucketWebsite"),
    Op.DELETE_OBJECT: (DELETE_OBJECT,),
    Op.DELETE_OBJECT_TAGGING: _of_object("DeleteObject|Tagging"),
    Op.DELETE_OBJECTS: (DELETE_OBJECT,),
    Op.DELETE_PUBLIC_ACCESS_BLOCK: _of_bucket("PutBucketPublicAccessBlock"),
    Op.GET_BUCKET_ACCELERATE_CONFIGURATION: _of_bucket("GetAccelerateConfiguration"),
    Op.GET_BUCKET_ACL: _of_bucket("GetBucketAcl"),
    Op.GET_BUCKET_ANALYTICS_CONFIGURATION: _of_bucket("GetAnalyticsConfiguration"),
    Op.GET_BUCKET_CORS: _of_bucket("GetBucketCORS"),
    Op.GET_BUCKET_ENCRYPTION: _of_bucket("GetEncryptionConfiguration"),
    Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: _of_bucket("GetIntelligentTieringConfiguration"),
    Op.GET_BUCKET_INVENTORY_CONFIGURATION: _of_bucket("GetInventoryConfiguration"),
    Op.GET_BUCKET_LIFECYCLE_CONFIGURATION: _of_bucket("GetLifecycleConfiguration"),
    Op.GET_BUCKET_LOCATION: _of_bucket("GetBucketLocation"),
    Op.GET_BUCKET_LOGGING: _of_bucket("GetBucketLogging"),
    Op.GET_BUCKET_METRICS_CONFIGURATION: _of_bucket("GetMetricsConfiguration"),
    Op.GET_BUCKET_NOTIFICATION_CONFIGURATION: _of_bucket("GetBucketNotification"),
    Op.GET_BUCKET_OWNERSHIP_CONTROLS: _of_bucket("GetBucketOwnershipControls"),
    Op.GET_BUCKET_POLICY: _of_bucket("GetBucketPolicy"),
    Op.GET_BUCKET_POLICY_STATUS: _of_bucket("GetBucketPolicyStatus"),
    Op.GET_BUCKET_REPLICATION: _of_bucket("GetReplicationConfiguration"),
    Op.GET_BUCKET_REQUEST_PAYMENT: _of_bucket("GetBucketRequestPayment"),
    Op.GET_BUCKET_TAGGING: _of_bucket("GetBucketTagging"),
    Op.GET_BUCKET_VERSIONING: _of_bucket("GetBucketVersioning"),
    Op.GET_BUCKET_WEBSITE: _of_bucket("GetBucketWebsite"),
    Op.GET_OBJECT: (GET_OBJECT,),
    Op.GET_OBJECT_ACL: _of_object("GetObject|Acl"),
    Op.GET_OBJECT_ATTRIBUTES: (GET_OBJECT, *_of_object("GetObject|Attributes")),
    Op.GET_OBJECT_LEGAL_HOLD: _of_object("GetObjectLegalHold"),
    Op.GET_OBJECT_LOCK_CONFIGURATION: _of_bucket("GetBucketObjectLockConfiguration"),
    Op.GET_OBJECT_RETENTION: _of_object("GetObjectRetention"),
    Op.GET_OBJECT_TAGGING: (GET_OBJECT_TAGGING,),
    Op.GET_PUBLIC_ACCESS_BLOCK: _of_bucket("GetBucketPublicAccessBlock"),
    Op.HEAD_BUCKET: (LIST_BUCKET,),
    Op.HEAD_OBJECT: (GET_OBJECT,),
    Op.LIST_BUCKET_ANALYTICS_CONFIGURATIONS: _of_bucket("GetAnalyticsConfiguration"),
    Op.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS: _of_bucket("GetIntelligentTieringConfiguration"),
    Op.LIST_BUCKET_INVENTORY_CONFIGURATIONS: _of_bucket("GetInventoryConfiguration"),
    Op.LIST_BUCKET_METRICS_CONFIGURATIONS: _of_bucket("GetMetricsConfiguration"),
    Op.LIST_BUCKETS: (Action("s3:ListAllMyBuckets", Scope.ACCOUNT),),
    Op.LIST_MULTIPART_UPLOADS: _of_bucket("ListBucketMultipartUploads"),
    Op.LIST_OBJECT_VERSIONS: _of_bucket("ListBucketVersions"),
    Op.LIST_OBJECTS: (LIST_BUCKET,),
    Op.LIST_OBJECTS_V2: (LIST_BUCKET,),
    Op.LIST_PARTS: _of_object("ListMultipartUploadParts"),
    Op.POST_OBJECT: (PUT_OBJECT,),
    Op.PUT_BUCKET_ACL: _of_bucket("PutBucketAcl"),
    Op.PUT_BUCKET_CORS: _of_bucket("PutBucketCORS"),
    Op.PUT_BUCKET_ENCRYPTION: _of_bucket("PutEncryptionConfiguration"),
    Op.PUT_BUCKET_LIFECYCLE_CONFIGURATION: _of_bucket("PutLifecycleConfiguration"),
    Op.PUT_BUCKET_LOGGING: _of_bucket("PutBucketLogging"),
    Op.PUT_BUCKET_NOTIFICATION_CONFIGURATION: _of_bucket("PutBucketNotification"),
    Op.PUT_BUCKET_OWNERSHIP_CONTROLS: _of_bucket("PutBucketOwnershipControls"),
    Op.PUT_BUCKET_POLICY: _of_bucket("PutBucketPolicy"),
    Op.PUT_BUCKET_REQUEST_PAYMENT: _of_bucket("PutBucketRequestPayment"),
    Op.PUT_BUCKET_TAGGING: _of_bucket("PutBucketTagging"),
    Op.PUT_BUCKET_VERSIONING: _of_bucket("PutBucketVersioning"),
    Op.PUT_OBJECT: (PUT_OBJECT,),
    Op.PUT_OBJECT_ACL: _of_object("PutObject|Acl"),
    Op.PUT_OBJECT_LEGAL_HOLD: (PUT_OBJECT_LEGAL_HOLD,),
    Op.PUT_OBJECT_LOCK_CONFIGURATION: _of_bucket("PutBucketObjectLockConfiguration"),
    Op.PUT_OBJECT_RETENTION: (PUT_OBJECT_RETENTION,),
    Op.PUT_OBJECT_TAGGING: _of_object("PutObject|Tagging"),
    Op.PUT_PUBLIC_ACCESS_BLOCK: _of_bucket("PutBucketPublicAccessBlock"),
    Op.UPLOAD_PART: (PUT_OBJECT,),
    Op.UPLOAD_PART_COPY: (PUT_OBJECT,),
}
"""What each operation that does anything needs, all of it."""

ALONG: Final[Mapping[str, Action]] = {
    "x-amz-tagging": PUT_OBJECT_TAGGING,
    "x-amz-object-lock-mode": PUT_OBJECT_RETENTION,
    "x-amz-object-lock-legal-hold": PUT_OBJECT_LEGAL_HOLD,
}
"""What a header of a new object needs besides."""

OF_UPLOADS: Final = frozenset((Op.COMPLETE_MULTIPART_UPLOAD, Op.UPLOAD_PART, Op.UPLOAD_PART_COPY))
"""Operations on an upload whose beginning said what the object is to bear."""

CREATORS: Final = frozenset((Op.COPY_OBJECT, Op.CREATE_MULTIPART_UPLOAD, Op.POST_OBJECT, Op.PUT_OBJECT))
"""Operations whose headers say what a new object is to bear."""
