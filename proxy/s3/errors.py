"""Errors as S3 clients see them: each code, its status and message, and which of ours it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from model import errors
from proxy.auth.aws_chunked import ChunkTooSmall, MalformedChunk, WrongLength
from proxy.auth.sigv4 import SignatureRefused

CODES: Final[Mapping[str, tuple[int, str]]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "Access Forbidden"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "Error parsing the query parameters of the signature."),
    "BadDigest": (400, "The Content-MD5 or checksum you specified did not match what we received."),
    "BadRequest": (400, "Bad Request"),
    "BucketAlreadyExists": (
        409,
        (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the "
            "system. Please select a different name and try again."
        ),
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "ConditionalRequestConflict": (409, "A conflicting operation occurred. Please try again."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "ExpiredToken": (400, "The provided token has expired."),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    "IllegalLocationConstraintException": (400, "The specified location constraint is not valid here."),
    "IncompleteBody": (
        400,
        "The request body terminated unexpectedly",
    ),
    "IncorrectNumberOfFilesInPostRequest": (400, "POST requires exactly one file upload per request."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": (
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketState": (409, "The request is not valid with the current state of the bucket."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to be so small."),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": (
        400,
        "The encryption request you specified is not valid. The valid value is AES256.",
    ),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or "
            "the specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period specified is invalid"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KMS.DisabledException": (400, "The key is disabled."),
    "KMS.KMSInvalidStateException": (400, "The key cannot be used in its present state."),
    "KMS.NotFoundException": (400, "There is no such key."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": (400, "Invalid policy syntax."),
    "MalformedTrailerError": (
        400,
        (
            "The request contained trailing data that was not well-formed or did not conform to our "
            "published schema."
        ),
    ),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceeded": (
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MissingSecurityHeader": (400, "Your request was missing a required header"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": (
        404,
        "The specified object does not have a ObjectLock configuration",
    ),
    "NoSuchPublicAccessBlockConfiguration": (
        404,
        "The public access block configuration was not found",
    ),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "ObjectLockConfigurationNotFoundError": (
        404,
        "Object Lock configuration does not exist for this bucket",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "RequestTimeout": (400, "Your socket connection to the server was not read from or written to in time."),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Please reduce your request rate."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your key "
            "and signing method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "UnexpectedContent": (400, "This request does not support content"),
    "UnresolvableGrantByEmailAddress": (
        400,
        "The e-mail address you provided does not match any account on record.",
    ),
    "UnsupportedSignature": (400, "The provided request is signed with an unsupported signature."),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
"""Code to status and message."""


class S3Error(errors.ColonnadeError):
    """An error by its S3 code. `details` become elements of the XML, `headers` go with the response."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        status, usual = CODES[code]
        super().__init__(message or usual)
        self.code = code
        self.status = status
        self.message = message or usual
        self.details = details or {}
        self.headers = headers


def invalid_argument(name: str, value: str, message: str) -> S3Error:
    """Return the error of an argument, named with its value."""
    return S3Error("InvalidArgument", message, details={"ArgumentName": name, "ArgumentValue": value})


_BY_CLASS: Final[Mapping[type[errors.ColonnadeError], str]] = {
    errors.BadRequest: "InvalidRequest",
    errors.InvalidName: "InvalidArgument",
    errors.InvalidRange: "InvalidRange",
    errors.BadDigest: "BadDigest",
    errors.Absent: "NoSuchKey",
    errors.NoSuchAccount: "NoSuchBucket",
    errors.NoSuchContainer: "NoSuchBucket",
    errors.NoSuchObject: "NoSuchKey",
    errors.NoSuchUpload: "NoSuchUpload",
    errors.NoSuchVersion: "NoSuchVersion",
    errors.Conflict: "ConditionalRequestConflict",
    errors.ContainerExists: "BucketAlreadyExists",
    errors.ContainerNotEmpty: "BucketNotEmpty",
    errors.PreconditionFailed: "PreconditionFailed",
    errors.Denied: "AccessDenied",
    errors.Encrypted: "InvalidRequest",
    errors.CustomerKeyWrong: "InvalidRequest",
    errors.NoSuchMasterKey: "KMS.NotFoundException",
    errors.MasterKeyDisabled: "KMS.DisabledException",
    errors.MasterKeyLost: "KMS.KMSInvalidStateException",
    errors.Unavailable: "ServiceUnavailable",
    errors.IncompleteBody: "IncompleteBody",
    errors.CorruptRecord: "InternalError",
    errors.ColonnadeError: "InternalError",
    MalformedChunk: "IncompleteBody",
}
_OWN_WORDS: Final = frozenset(
    {
        "BadDigest",
        "InvalidArgument",
        "InvalidRequest",
        "KMS.DisabledException",
        "KMS.KMSInvalidStateException",
        "KMS.NotFoundException",
    }
)
"""Codes whose usual message says less than our error's text."""


def wrong_length(expected_bytes: int, provided_bytes: int) -> S3Error:
    """Return the error of a body that is longer or shorter than its declared length."""
    return S3Error(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
        details={
            "NumberBytesExpected": str(expected_bytes),
            "NumberBytesProvided": str(provided_bytes),
        },
    )


def to_s3(error: errors.ColonnadeError) -> S3Error:
    """Return an error of ours as the S3 error that stands for it."""
    if isinstance(error, S3Error):
        return error
    if isinstance(error, SignatureRefused):
        return S3Error(error.code, str(error), details=error.details)
    if isinstance(error, ChunkTooSmall):
        details = {"Chunk": str(error.number), "BadChunkSize": str(error.size_bytes)}
        return S3Error("InvalidChunkSizeError", str(error), details=details)
    if isinstance(error, WrongLength):
        return wrong_length(error.expected_bytes, error.provided_bytes)
    code = next(_BY_CLASS[ours] for ours in type(error).__mro__ if ours in _BY_CLASS)
    if isinstance(error, errors.InvalidRange):
        return S3Error(
            code,
            details={"ActualObjectSize": str(error.size)},
            headers=(("Content-Range", f"bytes */{error.size}"),),
        )
    return S3Error(code, str(error) if code in _OWN_WORDS else "")
