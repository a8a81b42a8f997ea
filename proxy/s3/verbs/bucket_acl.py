"""GetBucketAcl and PutBucketAcl."""

from __future__ import annotations

from typing import Final

from model.containers import S3_ACL
from model.names import ContainerPath
from proxy.http.messages import Response
from proxy.operations.types import Container
from proxy.s3 import acl, xml_write
from proxy.s3.access import bucket_allows, check_expected_owner, locate
from proxy.s3.acl import AccessList, Permission
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 256 * 1024


async def get_bucket_acl(call: Call) -> Response:
    """Show the access control list of a bucket."""
    container = await _enter(call, Permission.READ_ACP)
    listed = acl.unpack(container.settings.get(S3_ACL, b""), container.record.owner)
    return xml(show(call, listed))


async def put_bucket_acl(call: Call) -> Response:
    """Replace the access control list of a bucket."""
    container = await _enter(call, Permission.WRITE_ACP)
    owner = container.record.owner
    listed = await read(call, owner, owner)
    await call.colony.set_container(container.path, {S3_ACL: acl.pack(listed)})
    return empty(200)


async def _enter(call: Call, wanted: Permission) -> Container:
    path: ContainerPath = await locate(call)
    check_expected_owner(call, path)
    container = await call.colony.container(path, fresh=True)
    owns = call.user is not None and call.user.owns(path.account)
    if not owns and not bucket_allows(call, container, wanted):
        raise S3Error("AccessDenied")
    return container


def show(call: Call, listed: AccessList) -> bytes:
    """Return the document of a list."""
    return xml_write.access_control_policy(
        call.show_owner(listed.owner), [(who, str(what)) for who, what in listed.grants]
    )


async def read(call: Call, owner: str, bucket_owner: str) -> AccessList:
    """Return the list that headers or the body of a request give. Raises S3Error."""
    body = await read_whole(call, _BODY_BYTES_MAX)
    listed = acl.from_headers(call.request.headers, owner, bucket_owner)
    if listed is not None and body.strip():
        raise S3Error("UnexpectedContent")
    if listed is not None:
        return listed
    if not body.strip():
        raise S3Error("MissingSecurityHeader", details={"MissingHeaderName": "x-amz-acl"})
    return acl.from_xml(body, owner)
