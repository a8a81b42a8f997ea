"""PutBucketVersioning."""

from __future__ import annotations

from typing import Final

from model.containers import Versioning
from model.names import ContainerPath
from proxy.http.messages import Response
from proxy.s3 import locks, xml_read
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024
_STATES: Final = {"Enabled": Versioning.ENABLED, "Suspended": Versioning.SUSPENDED}


async def put_bucket_versioning(call: Call) -> Response:
    """Enable or suspend versioning; answered once every proxy of the colony goes by it."""
    path = await enter_as_owner(call)
    document = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "VersioningConfiguration")
    status, mfa_delete = document.value("Status"), document.value("MfaDelete")
    if mfa_delete not in ("", "Enabled", "Disabled") or (status and status not in _STATES):
        raise S3Error("MalformedXML")
    if mfa_delete == "Enabled":
        raise S3Error("NotImplemented", "MFA delete is not implemented")
    if not status:
        raise S3Error("IllegalVersioningConfigurationException")
    wanted = _STATES[status]
    if wanted is Versioning.SUSPENDED:
        await _refuse_where_locked(call, path)
    await call.colony.set_versioning(path, wanted)
    if wanted is Versioning.SUSPENDED:
        try:
            await _refuse_where_locked(call, path)
        except S3Error:
            # Locks came meanwhile, and whoever set them may have looked before this: they go first.
            await call.colony.set_versioning(path, Versioning.ENABLED)
            raise
    return empty(200)


async def _refuse_where_locked(call: Call, path: ContainerPath) -> None:
    if locks.is_enabled(await call.colony.container(path, fresh=True)):
        raise S3Error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be "
            "changed.",
        )
