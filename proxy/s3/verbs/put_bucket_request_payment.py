"""PutBucketRequestPayment: the bucket's owner pays, here as everywhere by default."""

from __future__ import annotations

from typing import Final

from proxy.http.messages import Response
from proxy.s3 import xml_read
from proxy.s3.access import enter_as_owner
from proxy.s3.call import Call, empty
from proxy.s3.errors import S3Error
from proxy.s3.upload import read_whole

_BODY_BYTES_MAX: Final = 64 * 1024


async def put_bucket_request_payment(call: Call) -> Response:
    """Accept that the owner pays; refuse by name that who asks should."""
    path = await enter_as_owner(call)
    payment = xml_read.parse(await read_whole(call, _BODY_BYTES_MAX), "RequestPaymentConfiguration")
    match payment.value("Payer"):
        case "BucketOwner":
            await call.colony.container(path)
            return empty(200)
        case "Requester":
            raise S3Error("NotImplemented", f"{call.operation} with the payer Requester is not implemented")
        case _:
            raise S3Error("MalformedXML")
