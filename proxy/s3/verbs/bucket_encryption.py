"""GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption."""

from __future__ import annotations

from typing import Final

from proxy.encryption.defaults import (
    AES256,
    AWS_KMS,
    CUSTOMER_KEYS,
    ENCRYPTION,
    BucketEncryption,
    encryption_of,
    pack_encryption,
)
from proxy.http.messages import Response
from proxy.s3 import encryption, xml_read, xml_write
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty, xml
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.upload import read_whole
from proxy.s3.xml_read import Node

_BODY_BYTES_MAX: Final = 64 * 1024
_NONE: Final = "NONE"


async def get_bucket_encryption(call: Call) -> Response:
    """Show how a bucket encrypts new objects."""
    path = await enter_as_owner(call)
    container = await call.colony.container(path, fresh=True)
    rule = encryption_of(container.settings) or call.settings.default_encryption
    if rule is None:
        raise S3Error("ServerSideEncryptionConfigurationNotFoundError", details={"BucketName": call.bucket})
    return xml(xml_write.root("ServerSideEncryptionConfiguration", f"<Rule>{_shown(rule)}</Rule>"))


async def put_bucket_encryption(call: Call) -> Response:
    """Set how a bucket encrypts new objects."""
    path = await enter_as_owner(call)
    rule = _read(await read_whole(call, _BODY_BYTES_MAX))
    await call.colony.set_container(path, {ENCRYPTION: pack_encryption(rule)})
    return empty(200)


async def delete_bucket_encryption(call: Call) -> Response:
    """Let a bucket encrypt nothing by itself; one that never did is no error."""
    path = await enter_as_owner(call)
    await call.colony.set_container(path, {ENCRYPTION: b""})
    return empty(204)


def _shown(rule: BucketEncryption) -> str:
    inner = ""
    if rule.algorithm:
        inner = xml_write.tag("SSEAlgorithm", rule.algorithm)
        if rule.key_id:
            inner += xml_write.tag("KMSMasterKeyID", rule.key_id)
        name = "ApplyServerSideEncryptionByDefault"
        inner = f"<{name}>{inner}</{name}>"
    inner += xml_write.flag("BucketKeyEnabled", holds=rule.bucket_key)
    if rule.blocked:
        blocked = "".join([xml_write.tag("EncryptionType", one) for one in rule.blocked])
        inner += f"<BlockedEncryptionTypes>{blocked}</BlockedEncryptionTypes>"
    return inner


def _read(body: bytes) -> BucketEncryption:
    document = xml_read.parse(body, "ServerSideEncryptionConfiguration")
    rules = list(document.children("Rule"))
    if len(rules) != 1:
        raise S3Error("MalformedXML")
    (rule,) = rules
    by_default = rule.child("ApplyServerSideEncryptionByDefault")
    blocked = _blocked(rule)
    if by_default is None and rule.child("BlockedEncryptionTypes") is None:
        raise S3Error("MalformedXML")
    algorithm = "" if by_default is None else by_default.value("SSEAlgorithm")
    key_id = "" if by_default is None else by_default.value("KMSMasterKeyID")
    if by_default is not None and algorithm not in (AES256, AWS_KMS):
        if algorithm == "aws:kms:dsse":
            raise S3Error("NotImplemented", f"{algorithm} is not implemented")
        raise S3Error("MalformedXML")
    if key_id and algorithm != AWS_KMS:
        raise invalid_argument(
            "ApplyServerSideEncryptionByDefault.KMSMasterKeyID",
            key_id,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
        )
    if key_id:
        encryption.named_key(key_id)
    bucket_key = rule.value("BucketKeyEnabled", "false").lower()
    if bucket_key not in ("true", "false"):
        raise S3Error("MalformedXML")
    return BucketEncryption(algorithm, key_id, bucket_key == "true", blocked)


def _blocked(rule: Node) -> tuple[str, ...]:
    types = rule.child("BlockedEncryptionTypes")
    if types is None:
        return ()
    named = [one.text.strip() for one in types.children("EncryptionType")]
    if not set(named) <= {CUSTOMER_KEYS, _NONE} or (_NONE in named and len(set(named)) > 1):
        raise S3Error("MalformedXML")
    return tuple(dict.fromkeys(named))
