"""Version ids in requests and answers, and what is said of versions that are not there."""

from __future__ import annotations

from model.errors import Absent, DeleteMarkerFound, NoSuchVersion
from model.names import NULL_VERSION, ContainerPath
from model.stamp import parse_version_id
from proxy.dates import http_date
from proxy.operations.types import Container, StoredObject
from proxy.s3.access import may_know_absence
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, invalid_argument

VERSION_ID = "x-amz-version-id"
DELETE_MARKER = "x-amz-delete-marker"
_TRUE = (DELETE_MARKER, "true")


def wanted_version(call: Call) -> str | None:
    """Return the version id that a request names, None for the current version. Raises S3Error."""
    version = call.query.get("versionId")
    return None if version is None else check_version_id("versionId", version)


def check_version_id(name: str, version: str) -> str:
    """Return a version id unchanged. Raises S3Error InvalidArgument for what can be none."""
    if not version:
        raise invalid_argument(name, version, "Version id cannot be the empty string")
    if version != NULL_VERSION and parse_version_id(version) is None:
        raise invalid_argument(name, version, "Invalid version id specified")
    return version


def show_version(stored: StoredObject, name: str = VERSION_ID) -> list[tuple[str, str]]:
    """Return the header that tells of a version, where the bucket has versions."""
    return [(name, stored.version_id)] if stored.is_versioned_container else []


def show_new_version(stored: StoredObject) -> list[tuple[str, str]]:
    """Return the header that tells the id of a version just written; not that of the null one, as in AWS."""
    return [] if stored.version_id == NULL_VERSION else [(VERSION_ID, stored.version_id)]


async def absent(
    call: Call, path: ContainerPath, guard: Container | None, error: Absent, *, key: str = ""
) -> S3Error:
    """Return the error of a key (the request's by default) or version that is not there.

    It says as much as the asker may know.
    Raises NoSuchContainer where the bucket is not there either.
    """
    await call.colony.container(path)
    if may_know_absence(call, guard, key):
        return _absence(call, error)
    # What this process remembers of a bucket may be older than a grant: look again.
    if not may_know_absence(call, await call.colony.container(path, fresh=True), key):
        return S3Error("AccessDenied")
    return _absence(call, error)


def _absence(call: Call, error: Absent) -> S3Error:
    if isinstance(error, DeleteMarkerFound):
        headers = [_TRUE, (VERSION_ID, error.version_id)]
        if error.is_current:
            return S3Error("NoSuchKey", details={"Key": call.key}, headers=headers)
        headers += [("Allow", "DELETE"), ("Last-Modified", http_date(error.modified_ms // 1000))]
        details = {"Method": call.request.method, "ResourceType": "DeleteMarker"}
        return S3Error("MethodNotAllowed", details=details, headers=headers)
    if isinstance(error, NoSuchVersion):
        version = call.query.get("versionId", "")
        return S3Error("NoSuchVersion", details={"Key": call.key, "VersionId": version})
    # AWS says nothing here; radosgw's clients and the test suite of S3 look for the word.
    return S3Error("NoSuchKey", details={"Key": call.key}, headers=[(DELETE_MARKER, "false")])
