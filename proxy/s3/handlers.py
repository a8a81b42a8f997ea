"""Which verb serves which operation; all others are refused by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from proxy.http.messages import Response
from proxy.s3.call import Call
from proxy.s3.router import Operation as Op
from proxy.s3.verbs.abort_multipart_upload import abort_multipart_upload
from proxy.s3.verbs.bucket_acl import get_bucket_acl, put_bucket_acl
from proxy.s3.verbs.bucket_cors import delete_bucket_cors, get_bucket_cors, put_bucket_cors
from proxy.s3.verbs.bucket_encryption import (
    delete_bucket_encryption,
    get_bucket_encryption,
    put_bucket_encryption,
)
from proxy.s3.verbs.bucket_lifecycle import (
    delete_bucket_lifecycle,
    get_bucket_lifecycle_configuration,
    put_bucket_lifecycle_configuration,
)
from proxy.s3.verbs.bucket_policy import (
    delete_bucket_policy,
    get_bucket_policy,
    get_bucket_policy_status,
    put_bucket_policy,
)
from proxy.s3.verbs.bucket_tagging import delete_bucket_tagging, get_bucket_tagging, put_bucket_tagging
from proxy.s3.verbs.complete_multipart_upload import complete_multipart_upload
from proxy.s3.verbs.copy_object import copy_object
from proxy.s3.verbs.create_bucket import create_bucket
from proxy.s3.verbs.create_multipart_upload import create_multipart_upload
from proxy.s3.verbs.delete_bucket import delete_bucket
from proxy.s3.verbs.delete_object import delete_object
from proxy.s3.verbs.delete_objects import delete_objects
from proxy.s3.verbs.get_bucket_location import get_bucket_location
from proxy.s3.verbs.get_bucket_versioning import get_bucket_versioning
from proxy.s3.verbs.get_object import get_object
from proxy.s3.verbs.get_object_attributes import get_object_attributes
from proxy.s3.verbs.head_bucket import head_bucket
from proxy.s3.verbs.head_object import head_object
from proxy.s3.verbs.list_buckets import list_buckets
from proxy.s3.verbs.list_multipart_uploads import list_multipart_uploads
from proxy.s3.verbs.list_object_versions import list_object_versions
from proxy.s3.verbs.list_objects import list_objects
from proxy.s3.verbs.list_objects_v2 import list_objects_v2
from proxy.s3.verbs.list_parts import list_parts_of_upload
from proxy.s3.verbs.object_acl import get_object_acl, put_object_acl
from proxy.s3.verbs.object_legal_hold import get_object_legal_hold, put_object_legal_hold
from proxy.s3.verbs.object_lock_configuration import (
    get_object_lock_configuration,
    put_object_lock_configuration,
)
from proxy.s3.verbs.object_retention import get_object_retention, put_object_retention
from proxy.s3.verbs.object_tagging import delete_object_tagging, get_object_tagging, put_object_tagging
from proxy.s3.verbs.ownership_controls import (
    delete_bucket_ownership_controls,
    get_bucket_ownership_controls,
    put_bucket_ownership_controls,
)
from proxy.s3.verbs.post_object import post_object
from proxy.s3.verbs.preflight import preflight
from proxy.s3.verbs.public_access_block import (
    delete_public_access_block,
    get_public_access_block,
    put_public_access_block,
)
from proxy.s3.verbs.put_bucket_logging import put_bucket_logging
from proxy.s3.verbs.put_bucket_notification import put_bucket_notification_configuration
from proxy.s3.verbs.put_bucket_request_payment import put_bucket_request_payment
from proxy.s3.verbs.put_bucket_versioning import put_bucket_versioning
from proxy.s3.verbs.put_object import put_object
from proxy.s3.verbs.unconfigured import (
    EMPTY,
    NOT_CONFIGURED,
    REMOVALS,
    not_configured,
    not_implemented,
)
from proxy.s3.verbs.upload_part import upload_part
from proxy.s3.verbs.upload_part_copy import upload_part_copy

Verb = Callable[[Call], Awaitable[Response]]

SERVED: Final[Mapping[Op, Verb]] = {
    Op.ABORT_MULTIPART_UPLOAD: abort_multipart_upload,
    Op.COMPLETE_MULTIPART_UPLOAD: complete_multipart_upload,
    Op.COPY_OBJECT: copy_object,
    Op.CREATE_BUCKET: create_bucket,
    Op.CREATE_MULTIPART_UPLOAD: create_multipart_upload,
    Op.DELETE_BUCKET: delete_bucket,
    Op.DELETE_BUCKET_CORS: delete_bucket_cors,
    Op.DELETE_BUCKET_ENCRYPTION: delete_bucket_encryption,
    Op.DELETE_BUCKET_LIFECYCLE: delete_bucket_lifecycle,
    Op.DELETE_BUCKET_OWNERSHIP_CONTROLS: delete_bucket_ownership_controls,
    Op.DELETE_BUCKET_POLICY: delete_bucket_policy,
    Op.DELETE_BUCKET_TAGGING: delete_bucket_tagging,
    Op.DELETE_OBJECT: delete_object,
    Op.DELETE_OBJECTS: delete_objects,
    Op.DELETE_OBJECT_TAGGING: delete_object_tagging,
    Op.DELETE_PUBLIC_ACCESS_BLOCK: delete_public_access_block,
    Op.GET_BUCKET_ACL: get_bucket_acl,
    Op.GET_BUCKET_CORS: get_bucket_cors,
    Op.GET_BUCKET_ENCRYPTION: get_bucket_encryption,
    Op.GET_BUCKET_LIFECYCLE_CONFIGURATION: get_bucket_lifecycle_configuration,
    Op.GET_BUCKET_LOCATION: get_bucket_location,
    Op.GET_BUCKET_OWNERSHIP_CONTROLS: get_bucket_ownership_controls,
    Op.GET_BUCKET_POLICY: get_bucket_policy,
    Op.GET_BUCKET_POLICY_STATUS: get_bucket_policy_status,
    Op.GET_BUCKET_TAGGING: get_bucket_tagging,
    Op.GET_BUCKET_VERSIONING: get_bucket_versioning,
    Op.GET_OBJECT: get_object,
    Op.GET_OBJECT_ACL: get_object_acl,
    Op.GET_OBJECT_ATTRIBUTES: get_object_attributes,
    Op.GET_OBJECT_LEGAL_HOLD: get_object_legal_hold,
    Op.GET_OBJECT_LOCK_CONFIGURATION: get_object_lock_configuration,
    Op.GET_OBJECT_RETENTION: get_object_retention,
    Op.GET_OBJECT_TAGGING: get_object_tagging,
    Op.GET_PUBLIC_ACCESS_BLOCK: get_public_access_block,
    Op.HEAD_BUCKET: head_bucket,
    Op.HEAD_OBJECT: head_object,
    Op.LIST_BUCKETS: list_buckets,
    Op.LIST_MULTIPART_UPLOADS: list_multipart_uploads,
    Op.LIST_OBJECTS: list_objects,
    Op.LIST_OBJECTS_V2: list_objects_v2,
    Op.LIST_OBJECT_VERSIONS: list_object_versions,
    Op.LIST_PARTS: list_parts_of_upload,
    Op.POST_OBJECT: post_object,
    Op.PREFLIGHT: preflight,
    Op.PUT_BUCKET_ACL: put_bucket_acl,
    Op.PUT_BUCKET_CORS: put_bucket_cors,
    Op.PUT_BUCKET_ENCRYPTION: put_bucket_encryption,
    Op.PUT_BUCKET_LIFECYCLE_CONFIGURATION: put_bucket_lifecycle_configuration,
    Op.PUT_BUCKET_OWNERSHIP_CONTROLS: put_bucket_ownership_controls,
    Op.PUT_BUCKET_POLICY: put_bucket_policy,
    Op.PUT_BUCKET_LOGGING: put_bucket_logging,
    Op.PUT_BUCKET_NOTIFICATION_CONFIGURATION: put_bucket_notification_configuration,
    Op.PUT_BUCKET_REQUEST_PAYMENT: put_bucket_request_payment,
    Op.PUT_BUCKET_TAGGING: put_bucket_tagging,
    Op.PUT_BUCKET_VERSIONING: put_bucket_versioning,
    Op.PUT_OBJECT: put_object,
    Op.PUT_OBJECT_ACL: put_object_acl,
    Op.PUT_OBJECT_LEGAL_HOLD: put_object_legal_hold,
    Op.PUT_OBJECT_LOCK_CONFIGURATION: put_object_lock_configuration,
    Op.PUT_OBJECT_RETENTION: put_object_retention,
    Op.PUT_OBJECT_TAGGING: put_object_tagging,
    Op.PUT_PUBLIC_ACCESS_BLOCK: put_public_access_block,
    Op.UPLOAD_PART: upload_part,
    Op.UPLOAD_PART_COPY: upload_part_copy,
}
"""Operations that do their work."""

NEVER_CONFIGURED: Final = frozenset((*NOT_CONFIGURED, *EMPTY, *REMOVALS))
"""Operations that answer truly that there is nothing configured."""

VERBS: Final[Mapping[Op, Verb]] = {
    operation: SERVED.get(operation) or (not_configured if operation in NEVER_CONFIGURED else not_implemented)
    for operation in Op
}
"""A verb for every operation."""
