"""Which operation of S3 a request asks for, by AWS's own names. Pure.

Every operation of AWS's service model is named here. An operation is chosen by method, by what is
addressed (the service, a bucket or an object), by the first query parameter that selects one, and
for copies by a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.http.messages import Headers


class Level(Enum):
    """What a request addresses."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Operation(StrEnum):
    """The operations of S3, by AWS's names."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return "".join(word.capitalize() for word in name.split("_"))

    ABORT_MULTIPART_UPLOAD = auto()
    COMPLETE_MULTIPART_UPLOAD = auto()
    COPY_OBJECT = auto()
    CREATE_BUCKET = auto()
    CREATE_BUCKET_METADATA_CONFIGURATION = auto()
    CREATE_BUCKET_METADATA_TABLE_CONFIGURATION = auto()
    CREATE_MULTIPART_UPLOAD = auto()
    CREATE_SESSION = auto()
    DELETE_BUCKET = auto()
    DELETE_BUCKET_ANALYTICS_CONFIGURATION = auto()
    DELETE_BUCKET_CORS = auto()
    DELETE_BUCKET_ENCRYPTION = auto()
    DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = auto()
    DELETE_BUCKET_INVENTORY_CONFIGURATION = auto()
    DELETE_BUCKET_LIFECYCLE = auto()
    DELETE_BUCKET_METADATA_CONFIGURATION = auto()
    DELETE_BUCKET_METADATA_TABLE_CONFIGURATION = auto()
    DELETE_BUCKET_METRICS_CONFIGURATION = auto()
    DELETE_BUCKET_OWNERSHIP_CONTROLS = auto()
    DELETE_BUCKET_POLICY = auto()
    DELETE_BUCKET_REPLICATION = auto()
    DELETE_BUCKET_TAGGING = auto()
    DELETE_BUCKET_WEBSITE = auto()
    DELETE_OBJECT = auto()
    DELETE_OBJECT_ANNOTATION = auto()
    DELETE_OBJECT_TAGGING = auto()
    DELETE_OBJECTS = auto()
    DELETE_PUBLIC_ACCESS_BLOCK = auto()
    GET_BUCKET_ABAC = auto()
    GET_BUCKET_ACCELERATE_CONFIGURATION = auto()
    GET_BUCKET_ACL = auto()
    GET_BUCKET_ANALYTICS_CONFIGURATION = auto()
    GET_BUCKET_CORS = auto()
    GET_BUCKET_ENCRYPTION = auto()
    GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = auto()
    GET_BUCKET_INVENTORY_CONFIGURATION = auto()
    GET_BUCKET_LIFECYCLE_CONFIGURATION = auto()
    GET_BUCKET_LOCATION = auto()
    GET_BUCKET_LOGGING = auto()
    GET_BUCKET_METADATA_CONFIGURATION = auto()
    GET_BUCKET_METADATA_TABLE_CONFIGURATION = auto()
    GET_BUCKET_METRICS_CONFIGURATION = auto()
    GET_BUCKET_NOTIFICATION_CONFIGURATION = auto()
    GET_BUCKET_OWNERSHIP_CONTROLS = auto()
    GET_BUCKET_POLICY = auto()
    GET_BUCKET_POLICY_STATUS = auto()
    GET_BUCKET_REPLICATION = auto()
    GET_BUCKET_REQUEST_PAYMENT = auto()
    GET_BUCKET_TAGGING = auto()
    GET_BUCKET_VERSIONING = auto()
    GET_BUCKET_WEBSITE = auto()
    GET_OBJECT = auto()
    GET_OBJECT_ACL = auto()
    GET_OBJECT_ANNOTATION = auto()
    GET_OBJECT_ATTRIBUTES = auto()
    GET_OBJECT_LEGAL_HOLD = auto()
    GET_OBJECT_LOCK_CONFIGURATION = auto()
    GET_OBJECT_RETENTION = auto()
    GET_OBJECT_TAGGING = auto()
    GET_OBJECT_TORRENT = auto()
    GET_PUBLIC_ACCESS_BLOCK = auto()
    HEAD_BUCKET = auto()
    HEAD_OBJECT = auto()
    LIST_BUCKET_ANALYTICS_CONFIGURATIONS = auto()
    LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS = auto()
    LIST_BUCKET_INVENTORY_CONFIGURATIONS = auto()
    LIST_BUCKET_METRICS_CONFIGURATIONS = auto()
    LIST_BUCKETS = auto()
    LIST_DIRECTORY_BUCKETS = auto()
    LIST_MULTIPART_UPLOADS = auto()
    LIST_OBJECT_ANNOTATIONS = auto()
    LIST_OBJECT_VERSIONS = auto()
    LIST_OBJECTS = auto()
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_PARTS = auto()
    POST_OBJECT = auto()
    PREFLIGHT = auto()
    PUT_BUCKET_ABAC = auto()
    PUT_BUCKET_ACCELERATE_CONFIGURATION = auto()
    PUT_BUCKET_ACL = auto()
    PUT_BUCKET_ANALYTICS_CONFIGURATION = auto()
    PUT_BUCKET_CORS = auto()
    PUT_BUCKET_ENCRYPTION = auto()
    PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION = auto()
    PUT_BUCKET_INVENTORY_CONFIGURATION = auto()
    PUT_BUCKET_LIFECYCLE_CONFIGURATION = auto()
    PUT_BUCKET_LOGGING = auto()
    PUT_BUCKET_METRICS_CONFIGURATION = auto()
    PUT_BUCKET_NOTIFICATION_CONFIGURATION = auto()
    PUT_BUCKET_OWNERSHIP_CONTROLS = auto()
    PUT_BUCKET_POLICY = auto()
    PUT_BUCKET_REPLICATION = auto()
    PUT_BUCKET_REQUEST_PAYMENT = auto()
    PUT_BUCKET_TAGGING = auto()
    PUT_BUCKET_VERSIONING = auto()
    PUT_BUCKET_WEBSITE = auto()
    PUT_OBJECT = auto()
    PUT_OBJECT_ACL = auto()
    PUT_OBJECT_ANNOTATION = auto()
    PUT_OBJECT_LEGAL_HOLD = auto()
    PUT_OBJECT_LOCK_CONFIGURATION = auto()
    PUT_OBJECT_RETENTION = auto()
    PUT_OBJECT_TAGGING = auto()
    PUT_PUBLIC_ACCESS_BLOCK = auto()
    RENAME_OBJECT = auto()
    RESTORE_OBJECT = auto()
    SELECT_OBJECT_CONTENT = auto()
    UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION = auto()
    UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION = auto()
    UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION = auto()
    UPDATE_OBJECT_ENCRYPTION = auto()
    UPLOAD_PART = auto()
    UPLOAD_PART_COPY = auto()
    WRITE_GET_OBJECT_RESPONSE = auto()


_Op = Operation
_Place = tuple[str, Level]

DEFAULTS: Final[Mapping[_Place, Operation]] = {
    ("GET", Level.SERVICE): _Op.LIST_BUCKETS,
    ("GET", Level.BUCKET): _Op.LIST_OBJECTS,
    ("HEAD", Level.BUCKET): _Op.HEAD_BUCKET,
    ("PUT", Level.BUCKET): _Op.CREATE_BUCKET,
    ("DELETE", Level.BUCKET): _Op.DELETE_BUCKET,
    ("POST", Level.BUCKET): _Op.POST_OBJECT,
    ("GET", Level.OBJECT): _Op.GET_OBJECT,
    ("HEAD", Level.OBJECT): _Op.HEAD_OBJECT,
    ("PUT", Level.OBJECT): _Op.PUT_OBJECT,
    ("DELETE", Level.OBJECT): _Op.DELETE_OBJECT,
    ("OPTIONS", Level.SERVICE): _Op.PREFLIGHT,
    ("OPTIONS", Level.BUCKET): _Op.PREFLIGHT,
    ("OPTIONS", Level.OBJECT): _Op.PREFLIGHT,
}
"""What a request asks for that no query parameter says more about."""

SELECTED: Final[Mapping[_Place, Mapping[str, Operation]]] = {
    ("GET", Level.BUCKET): {
        "abac": _Op.GET_BUCKET_ABAC,
        "accelerate": _Op.GET_BUCKET_ACCELERATE_CONFIGURATION,
        "acl": _Op.GET_BUCKET_ACL,
        "analytics": _Op.GET_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": _Op.GET_BUCKET_CORS,
        "encryption": _Op.GET_BUCKET_ENCRYPTION,
        "intelligent-tiering": _Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": _Op.GET_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": _Op.GET_BUCKET_LIFECYCLE_CONFIGURATION,
        "list-type": _Op.LIST_OBJECTS_V2,
        "location": _Op.GET_BUCKET_LOCATION,
        "logging": _Op.GET_BUCKET_LOGGING,
        "metadataConfiguration": _Op.GET_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": _Op.GET_BUCKET_METADATA_TABLE_CONFIGURATION,
        "metrics": _Op.GET_BUCKET_METRICS_CONFIGURATION,
        "notification": _Op.GET_BUCKET_NOTIFICATION_CONFIGURATION,
        "object-lock": _Op.GET_OBJECT_LOCK_CONFIGURATION,
        "ownershipControls": _Op.GET_BUCKET_OWNERSHIP_CONTROLS,
        "policy": _Op.GET_BUCKET_POLICY,
        "policyStatus": _Op.GET_BUCKET_POLICY_STATUS,
        "publicAccessBlock": _Op.GET_PUBLIC_ACCESS_BLOCK,
        "replication": _Op.GET_BUCKET_REPLICATION,
        "requestPayment": _Op.GET_BUCKET_REQUEST_PAYMENT,
        "session": _Op.CREATE_SESSION,
        "tagging": _Op.GET_BUCKET_TAGGING,
        "uploads": _Op.LIST_MULTIPART_UPLOADS,
        "versioning": _Op.GET_BUCKET_VERSIONING,
        "versions": _Op.LIST_OBJECT_VERSIONS,
        "website": _Op.GET_BUCKET_WEBSITE,
    },
    ("PUT", Level.BUCKET): {
        "abac": _Op.PUT_BUCKET_ABAC,
        "accelerate": _Op.PUT_BUCKET_ACCELERATE_CONFIGURATION,
        "acl": _Op.PUT_BUCKET_ACL,
        "analytics": _Op.PUT_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": _Op.PUT_BUCKET_CORS,
        "encryption": _Op.PUT_BUCKET_ENCRYPTION,
        "intelligent-tiering": _Op.PUT_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": _Op.PUT_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": _Op.PUT_BUCKET_LIFECYCLE_CONFIGURATION,
        "logging": _Op.PUT_BUCKET_LOGGING,
        "metadataAnnotationTable": _Op.UPDATE_BUCKET_METADATA_ANNOTATION_TABLE_CONFIGURATION,
        "metadataInventoryTable": _Op.UPDATE_BUCKET_METADATA_INVENTORY_TABLE_CONFIGURATION,
        "metadataJournalTable": _Op.UPDATE_BUCKET_METADATA_JOURNAL_TABLE_CONFIGURATION,
        "metrics": _Op.PUT_BUCKET_METRICS_CONFIGURATION,
        "notification": _Op.PUT_BUCKET_NOTIFICATION_CONFIGURATION,
        "object-lock": _Op.PUT_OBJECT_LOCK_CONFIGURATION,
        "ownershipControls": _Op.PUT_BUCKET_OWNERSHIP_CONTROLS,
        "policy": _Op.PUT_BUCKET_POLICY,
        "publicAccessBlock": _Op.PUT_PUBLIC_ACCESS_BLOCK,
        "replication": _Op.PUT_BUCKET_REPLICATION,
        "requestPayment": _Op.PUT_BUCKET_REQUEST_PAYMENT,
        "tagging": _Op.PUT_BUCKET_TAGGING,
        "versioning": _Op.PUT_BUCKET_VERSIONING,
        "website": _Op.PUT_BUCKET_WEBSITE,
    },
    ("DELETE", Level.BUCKET): {
        "analytics": _Op.DELETE_BUCKET_ANALYTICS_CONFIGURATION,
        "cors": _Op.DELETE_BUCKET_CORS,
        "encryption": _Op.DELETE_BUCKET_ENCRYPTION,
        "intelligent-tiering": _Op.DELETE_BUCKET_INTELLIGENT_TIERING_CONFIGURATION,
        "inventory": _Op.DELETE_BUCKET_INVENTORY_CONFIGURATION,
        "lifecycle": _Op.DELETE_BUCKET_LIFECYCLE,
        "metadataConfiguration": _Op.DELETE_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": _Op.DELETE_BUCKET_METADATA_TABLE_CONFIGURATION,
        "metrics": _Op.DELETE_BUCKET_METRICS_CONFIGURATION,
        "ownershipControls": _Op.DELETE_BUCKET_OWNERSHIP_CONTROLS,
        "policy": _Op.DELETE_BUCKET_POLICY,
        "publicAccessBlock": _Op.DELETE_PUBLIC_ACCESS_BLOCK,
        "replication": _Op.DELETE_BUCKET_REPLICATION,
        "tagging": _Op.DELETE_BUCKET_TAGGING,
        "website": _Op.DELETE_BUCKET_WEBSITE,
    },
    ("POST", Level.BUCKET): {
        "delete": _Op.DELETE_OBJECTS,
        "metadataConfiguration": _Op.CREATE_BUCKET_METADATA_CONFIGURATION,
        "metadataTable": _Op.CREATE_BUCKET_METADATA_TABLE_CONFIGURATION,
    },
    ("GET", Level.OBJECT): {
        "acl": _Op.GET_OBJECT_ACL,
        "annotation": _Op.GET_OBJECT_ANNOTATION,
        "attributes": _Op.GET_OBJECT_ATTRIBUTES,
        "legal-hold": _Op.GET_OBJECT_LEGAL_HOLD,
        "retention": _Op.GET_OBJECT_RETENTION,
        "tagging": _Op.GET_OBJECT_TAGGING,
        "torrent": _Op.GET_OBJECT_TORRENT,
        "uploadId": _Op.LIST_PARTS,
    },
    ("PUT", Level.OBJECT): {
        "acl": _Op.PUT_OBJECT_ACL,
        "annotation": _Op.PUT_OBJECT_ANNOTATION,
        "encryption": _Op.UPDATE_OBJECT_ENCRYPTION,
        "legal-hold": _Op.PUT_OBJECT_LEGAL_HOLD,
        "partNumber": _Op.UPLOAD_PART,
        "renameObject": _Op.RENAME_OBJECT,
        "retention": _Op.PUT_OBJECT_RETENTION,
        "tagging": _Op.PUT_OBJECT_TAGGING,
        "uploadId": _Op.UPLOAD_PART,
    },
    ("DELETE", Level.OBJECT): {
        "annotation": _Op.DELETE_OBJECT_ANNOTATION,
        "tagging": _Op.DELETE_OBJECT_TAGGING,
        "uploadId": _Op.ABORT_MULTIPART_UPLOAD,
    },
    ("POST", Level.OBJECT): {
        "restore": _Op.RESTORE_OBJECT,
        "select": _Op.SELECT_OBJECT_CONTENT,
        "uploadId": _Op.COMPLETE_MULTIPART_UPLOAD,
        "uploads": _Op.CREATE_MULTIPART_UPLOAD,
    },
}
"""What a query parameter selects."""

_WITHOUT_ID: Final = {
    _Op.GET_BUCKET_ANALYTICS_CONFIGURATION: _Op.LIST_BUCKET_ANALYTICS_CONFIGURATIONS,
    _Op.GET_BUCKET_INTELLIGENT_TIERING_CONFIGURATION: _Op.LIST_BUCKET_INTELLIGENT_TIERING_CONFIGURATIONS,
    _Op.GET_BUCKET_INVENTORY_CONFIGURATION: _Op.LIST_BUCKET_INVENTORY_CONFIGURATIONS,
    _Op.GET_BUCKET_METRICS_CONFIGURATION: _Op.LIST_BUCKET_METRICS_CONFIGURATIONS,
}
"""These list where the query has no id."""

_WITHOUT_NAME: Final = {_Op.GET_OBJECT_ANNOTATION: _Op.LIST_OBJECT_ANNOTATIONS}

_COPIES: Final = {_Op.PUT_OBJECT: _Op.COPY_OBJECT, _Op.UPLOAD_PART: _Op.UPLOAD_PART_COPY}
"""What a copy source header turns these into."""


def route(method: str, level: Level, query: Mapping[str, str], headers: Headers) -> Operation | None:
    """Return the operation asked for, or None where there is none of this method here."""
    place = (method, level)
    operation = _selected(place, query) if query else DEFAULTS.get(place)
    if operation in _COPIES and "x-amz-copy-source" in headers:
        return _COPIES[operation]
    return operation


def methods(level: Level) -> Iterable[str]:
    """Return the methods that have an operation at a level, for the Allow header."""
    return sorted({method for method, here in (*DEFAULTS, *SELECTED) if here is level})


def _selected(place: _Place, query: Mapping[str, str]) -> Operation | None:
    table = SELECTED.get(place)
    if table is None:
        return DEFAULTS.get(place)
    for name in query:
        operation = table.get(name)
        if operation is not None:
            break
    else:
        return DEFAULTS.get(place)
    if operation is Operation.LIST_OBJECTS_V2 and query["list-type"] != "2":
        return Operation.LIST_OBJECTS
    if operation in _WITHOUT_ID and "id" not in query:
        return _WITHOUT_ID[operation]
    if operation in _WITHOUT_NAME and "annotationName" not in query:
        return _WITHOUT_NAME[operation]
    return operation
