"""Valid requests and bodies of each kind that a parser reads, to be spoilt by the fuzzer."""

import json
from base64 import b64encode
from dataclasses import dataclass, field

from proxy.auth.sigv4 import Payload

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
CRC = "x-amz-checksum-crc32"


@dataclass(frozen=True)
class Seed:
    """A request that the server would accept, or refuse politely."""

    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    payload: str = "UNSIGNED-PAYLOAD"
    signed: bool = True


def xml(method: str, target: str, root: str, inner: str) -> Seed:
    return Seed(method, target, f"<{root} {NAMESPACE}>{inner}</{root}>".encode())


def policy(**statement: object) -> bytes:
    stated = {
        "Sid": "a",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::other:user/x"]},
        "Action": ["s3:GetObject", "s3:Put*"],
        "Resource": "arn:aws:s3:::fuzz/*",
        **statement,
    }
    return json.dumps({"Version": "2012-10-17", "Id": "p", "Statement": [stated]}).encode()


def form(*fields: tuple[str, str]) -> bytes:
    body = b""
    for name, value in (*fields, ("file", "the file")):
        body += f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    return body + b"--x--\r\n"


FORM_TYPE = {"content-type": "multipart/form-data; boundary=x"}
FORM_POLICY = json.dumps(
    {
        "expiration": "2099-01-01T00:00:00.000Z",
        "conditions": [
            {"bucket": "fuzz"},
            ["starts-with", "$key", "k"],
            ["eq", "$x-amz-meta-a", "b"],
            ["content-length-range", 0, 1000],
        ],
    }
).encode()
TAGS = "<TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet>"
RULE = "<ID>r</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"
GRANT = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    "<ID>a:b</ID></Grantee><Permission>READ</Permission></Grant>"
)

BODIES = (
    xml(
        "POST",
        "/fuzz?delete",
        "Delete",
        "<Quiet>true</Quiet><Object><Key>k</Key><VersionId>null</VersionId></Object>",
    ),
    xml("PUT", "/fuzz?tagging", "Tagging", TAGS),
    xml("PUT", "/fuzz/key?tagging", "Tagging", TAGS),
    xml(
        "PUT",
        "/fuzz?cors",
        "CORSConfiguration",
        "<CORSRule><ID>i</ID><AllowedOrigin>https://*.a</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        "<AllowedHeader>x-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule>",
    ),
    xml(
        "PUT",
        "/fuzz?acl",
        "AccessControlPolicy",
        f"<Owner><ID>o</ID></Owner><AccessControlList>{GRANT}</AccessControlList>",
    ),
    xml(
        "PUT",
        "/fuzz?lifecycle",
        "LifecycleConfiguration",
        f"<Rule>{RULE}<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
        "<Rule><ID>d</ID><Prefix/><Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>",
    ),
    xml(
        "PUT",
        "/fuzz?encryption",
        "ServerSideEncryptionConfiguration",
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
        "</ApplyServerSideEncryptionByDefault></Rule>",
    ),
    xml(
        "PUT",
        "/fuzz?ownershipControls",
        "OwnershipControls",
        "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>",
    ),
    xml(
        "PUT",
        "/fuzz?publicAccessBlock",
        "PublicAccessBlockConfiguration",
        "<BlockPublicAcls>false</BlockPublicAcls>",
    ),
    xml("PUT", "/fuzz?versioning", "VersioningConfiguration", "<Status>Suspended</Status>"),
    xml(
        "PUT",
        "/fuzz?object-lock",
        "ObjectLockConfiguration",
        "<ObjectLockEnabled>Enabled</ObjectLockEnabled>",
    ),
    xml(
        "PUT",
        "/fuzz/key?retention",
        "Retention",
        "<Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>",
    ),
    xml("PUT", "/fuzz/key?legal-hold", "LegalHold", "<Status>OFF</Status>"),
    xml("PUT", "/fuzz?logging", "BucketLoggingStatus", ""),
    xml("PUT", "/fuzz?notification", "NotificationConfiguration", ""),
    xml("PUT", "/fuzz?requestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
    xml("PUT", "/fuzz", "CreateBucketConfiguration", "<LocationConstraint>us-east-1</LocationConstraint>"),
    xml(
        "POST",
        "/fuzz/key?uploadId=0123",
        "CompleteMultipartUpload",
        "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>",
    ),
    Seed("PUT", "/fuzz?policy", policy(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
    Seed(
        "PUT",
        "/fuzz?policy",
        policy(NotPrincipal="*", Condition={"StringLike": {"s3:prefix": "${aws:username}/*"}}),
    ),
    Seed(
        "POST",
        "/fuzz",
        form(("key", "k"), ("acl", "private"), ("x-amz-meta-a", "b")),
        FORM_TYPE,
        signed=False,
    ),
    Seed(
        "POST",
        "/fuzz",
        form(
            ("key", "k"),
            ("policy", b64encode(FORM_POLICY).decode()),
            ("AWSAccessKeyId", "a"),
            ("signature", "b"),
        ),
        FORM_TYPE,
        signed=False,
    ),
    Seed(
        "PUT",
        "/v1/AUTH_test/c/slo?multipart-manifest=put",
        b'[{"path": "/c/o", "etag": "a", "size_bytes": 1}]',
        signed=False,
    ),
)
"""What is spoilt is the body; where there is a signature, it holds."""

FRAMINGS = tuple(
    Seed("PUT", "/fuzz/framed", body, {"x-amz-decoded-content-length": "5", **more}, payload.value)
    for payload, body, more in (
        (
            Payload.CHUNKS_UNSIGNED_TRAILER,
            b"5\r\nhello\r\n0\r\n" + CRC.encode() + b":NhCmhg==\r\n\r\n",
            {"x-amz-trailer": CRC},
        ),
        (Payload.CHUNKS_UNSIGNED_TRAILER, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", {}),
        (
            Payload.CHUNKS_SIGNED,
            b"5;chunk-signature=%b\r\nhello\r\n0;chunk-signature=%b\r\n\r\n" % (b"0" * 64, b"0" * 64),
            {},
        ),
        (
            Payload.CHUNKS_SIGNED_TRAILER,
            b"0;chunk-signature=%b\r\n%b:AAAAAA==\r\nx-amz-trailer-signature:%b\r\n\r\n"
            % (b"0" * 64, CRC.encode(), b"0" * 64),
            {"x-amz-trailer": CRC},
        ),
    )
)
"""Bodies in aws-chunked framing, of five bytes."""

TARGETS = (
    Seed("GET", "/fuzz?list-type=2&prefix=a%2Fb&delimiter=/&max-keys=5&encoding-type=url&start-after=x"),
    Seed("GET", "/fuzz?versions&key-marker=a&version-id-marker=null"),
    Seed("GET", "/fuzz/key?partNumber=1&versionId=null&response-content-type=text/plain"),
    Seed(
        "HEAD",
        "/fuzz/key",
        headers={
            "range": "bytes=0-1",
            "if-match": '"a", W/"b"',
            "if-modified-since": "Tue, 07 Jul 2020 21:53:04 GMT",
        },
    ),
    Seed(
        "GET",
        "/fuzz/key?attributes",
        headers={"x-amz-object-attributes": "ETag,ObjectParts", "x-amz-max-parts": "1"},
    ),
    Seed(
        "PUT",
        "/fuzz/copy",
        headers={"x-amz-copy-source": "/fuzz/key?versionId=null", "x-amz-copy-source-range": "bytes=0-1"},
    ),
    Seed(
        "PUT",
        "/fuzz/k",
        b"hello",
        {
            CRC: "NhCmhg==",
            "x-amz-tagging": "a=b&c=d",
            "x-amz-acl": "private",
            "content-md5": "XUFAKrxLKna5cZ2REBfFkg==",
        },
    ),
    Seed(
        "PUT",
        "/fuzz/k",
        b"",
        {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-context": "e30="},
    ),
    Seed(
        "PUT",
        "/fuzz/k",
        b"",
        {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
        },
    ),
    Seed(
        "OPTIONS",
        "/fuzz/k",
        headers={
            "origin": "https://x.a",
            "access-control-request-method": "GET",
            "access-control-request-headers": "x-a",
        },
        signed=False,
    ),
    Seed(
        "POST",
        "/fuzz/k?uploads",
        headers={"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"},
    ),
    Seed("GET", "/?max-buckets=2&prefix=f&continuation-token=AXg"),
    Seed(
        "GET", "/v1/AUTH_test/c?format=json&limit=3&marker=a&end_marker=b&prefix=c&delimiter=/", signed=False
    ),
)
"""What is spoilt is the query or a header."""
