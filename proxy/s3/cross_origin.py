"""Cross-origin answers: a bucket's CORS rules held against a request that a page makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.errors import Absent, ColonnadeError, NoSuchContainer
from model.names import ContainerPath
from proxy.cors import VARY, answer_headers, find, read_asked
from proxy.s3 import cors

if TYPE_CHECKING:
    from proxy.http.messages import Request
    from proxy.identity.users import User
    from proxy.s3.call import Services
    from proxy.s3.cors import Rules


async def rules_of(services: Services, bucket: str, user: User | None) -> Rules:
    """Return the CORS rules of a bucket, none where it has none. Raises NoSuchContainer, Unavailable."""
    _, _, bucket = bucket.rpartition(":")
    account = await services.buckets.account_of(bucket, user)
    if account is None:
        if user is None:
            raise NoSuchContainer(bucket)
        account = user.account
    container = await services.colony.container(ContainerPath(account, bucket))
    return cors.unpack(container.settings.get(cors.REGISTER, b""))


async def headers_for(
    services: Services, request: Request, bucket: str, user: User | None
) -> list[tuple[str, str]]:
    """Return what an answer must bear so that the page which asked may read it; errors bear it too."""
    if not bucket:
        return []
    try:
        rules = await rules_of(services, bucket, user)
    except Absent:
        return []
    except ColonnadeError:
        # The answer itself may be fine, or say what is wrong: it goes out, only not to the page.
        return [VARY]
    if not rules:
        return []
    asked = read_asked(request.headers, request.method)
    match = find(rules, asked)
    return [VARY] if match is None else [*answer_headers(match, asked), VARY]
