"""What a request is, as the condition keys of policies ask for it.

Source: AWS service authorization reference, "Condition keys for Amazon S3", and IAM user guide, "AWS global
condition context keys".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from model.objects import TAGS
from proxy.auth.bucket_rules import global_facts
from proxy.auth.policy_conditions import read_date
from proxy.auth.query import decode
from proxy.auth.sigv4 import Carrier
from proxy.http.messages import Headers
from proxy.operations.types import StoredObject
from proxy.s3 import tags
from proxy.s3.call import Call
from proxy.s3.errors import S3Error
from proxy.s3.router import Operation

_DAY_S: Final = 86_400
_QUERY: Final = {
    "s3:prefix": "prefix",
    "s3:delimiter": "delimiter",
    "s3:max-keys": "max-keys",
    "s3:versionid": "versionId",
}
"""Keys that are parameters of the query."""

_HEADERS: Final = {
    "s3:if-match": "if-match",
    "s3:if-none-match": "if-none-match",
    "s3:object-lock-legal-hold": "x-amz-object-lock-legal-hold",
    "s3:object-lock-mode": "x-amz-object-lock-mode",
    "s3:object-lock-retain-until-date": "x-amz-object-lock-retain-until-date",
    "s3:x-amz-acl": "x-amz-acl",
    "s3:x-amz-content-sha256": "x-amz-content-sha256",
    "s3:x-amz-grant-full-control": "x-amz-grant-full-control",
    "s3:x-amz-grant-read": "x-amz-grant-read",
    "s3:x-amz-grant-read-acp": "x-amz-grant-read-acp",
    "s3:x-amz-grant-write": "x-amz-grant-write",
    "s3:x-amz-grant-write-acp": "x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive": "x-amz-metadata-directive",
    "s3:x-amz-object-ownership": "x-amz-object-ownership",
    "s3:x-amz-server-side-encryption": "x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": "x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm": ("x-amz-server-side-encryption-customer-algorithm"),
    "s3:x-amz-storage-class": "x-amz-storage-class",
    "s3:x-amz-website-redirect-location": "x-amz-website-redirect-location",
}
"""Keys that are headers."""

_OF_REQUEST: Final = ("x-amz-content-sha256", "x-amz-metadata-directive")
_TAGGING: Final = "x-amz-tagging"

_EXISTING_TAG: Final = "s3:existingobjecttag/"
_REQUEST_TAG: Final = "s3:requestobjecttag/"

More = Mapping[str, Sequence[str] | None]
"""Condition keys, lower case, that a verb knows better than headers and query do; None where it has none."""


def said_of_new(headers: Headers) -> dict[str, str]:
    """Return the headers that tell policies what a new object is to bear, to be kept with an upload."""
    names = [name for name in _HEADERS.values() if name.startswith("x-amz-") and name not in _OF_REQUEST]
    return {name: headers[name] for name in (*names, _TAGGING) if name in headers}


def more_of_upload(said: Mapping[str, str]) -> More:
    """Return the condition keys that the beginning of an upload has settled for all of its parts."""
    return {key: (said[name],) for key, name in _HEADERS.items() if name in said}


def tags_of_upload(said: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the tags that the beginning of an upload asked for, None where it asked for none."""
    return tags.from_header(said[_TAGGING]) if _TAGGING in said else None


def more_of_version(version: str | None) -> More:
    """Return the condition key of a version that something else than the query names, or does not name."""
    return {"s3:versionid": (version,) if version else None}


class Facts:
    """The values of condition keys for one request, found as a policy asks for them.

    `account` is that of the bucket, `stored` the object as it is, where there is one; `request_tags` are
    those of a body; `more` outweighs everything.
    """

    __slots__ = ("_account", "_call", "_globals", "_more", "_request_tags", "_stored")

    def __init__(
        self,
        call: Call,
        account: str,
        *,
        stored: StoredObject | None = None,
        request_tags: Mapping[str, str] | None = None,
        more: More | None = None,
    ) -> None:
        self._call = call
        self._globals: Mapping[str, str] | None = None
        self._account = account
        self._stored = stored
        self._request_tags = request_tags
        self._more = more

    def __call__(self, key: str) -> Sequence[str] | None:
        """Return the values of a key, None where the request has none."""
        if self._more is not None and key in self._more:
            return self._more[key]
        if (name := _HEADERS.get(key)) is not None:
            headers = self._call.request.headers
            return (headers[name],) if name in headers else None
        if (name := _QUERY.get(key)) is not None:
            query = self._call.query
            return (query[name],) if name in query else None
        if key.startswith(_EXISTING_TAG):
            return _tag(self._existing_tags(), key.removeprefix(_EXISTING_TAG))
        if key.startswith(_REQUEST_TAG):
            return _tag(self._tags_asked(), key.removeprefix(_REQUEST_TAG))
        if key == "s3:requestobjecttagkeys":
            return tuple(self._tags_asked()) or None
        if (value := self._global().get(key)) is not None:
            return (value,)
        found = _OTHERS.get(key)
        value = None if found is None else found(self._call)
        return None if value is None else (value,)

    def _global(self) -> Mapping[str, str]:
        if self._globals is None:
            call = self._call
            self._globals = global_facts(call.request, call.user, self._account, call.services.now_ms())
        return self._globals

    def _existing_tags(self) -> Mapping[str, str]:
        return {} if self._stored is None else tags.unpack(self._stored.sides.get(TAGS, b""))

    def _tags_asked(self) -> Mapping[str, str]:
        if self._request_tags is not None:
            return self._request_tags
        text = self._call.request.headers.get(_TAGGING)
        try:
            return tags.from_header(text) if text else {}
        except S3Error:
            # The verb refuses such tags by their own error; a policy sees none.
            return {}


def _tag(held: Mapping[str, str], name: str) -> Sequence[str] | None:
    """Return a tag's value. Condition keys know no case, so tags that differ by case alone are several."""
    return tuple(value for key, value in held.items() if key.lower() == name) or None


def _copy_source(call: Call) -> str | None:
    text = call.request.headers.get("x-amz-copy-source")
    if not text:
        return None
    bucket, slash, key = decode(text.partition("?")[0]).removeprefix("/").partition("/")
    # Policies name buckets alone: who names the account too copies from the same one.
    return bucket.rpartition(":")[2] + slash + key


def _auth_type(call: Call) -> str | None:
    if call.user is None:
        return None
    if call.operation is Operation.POST_OBJECT:
        return "POST"
    if call.claim is not None:
        return "REST-QUERY-STRING" if call.claim.carrier is Carrier.QUERY else "REST-HEADER"
    return "REST-QUERY-STRING" if "AWSAccessKeyId" in call.query else "REST-HEADER"


def _signature_version(call: Call) -> str | None:
    if call.user is None:
        return None
    return "AWS4-HMAC-SHA256" if call.claim is not None or "X-Amz-Algorithm" in call.query else "AWS"


def _signature_age(call: Call) -> str | None:
    """Return the milliseconds since the signing; signatures of version 2 in a query do not tell."""
    if call.claim is None:
        return None
    return str(max(call.services.now_ms() - call.claim.signed_ms, 0))


def _remaining_days(call: Call) -> str | None:
    until = read_date(call.request.headers.get("x-amz-object-lock-retain-until-date"))
    return None if until is None else str(int((until - call.services.now_ms() / 1000) // _DAY_S))


_OTHERS: Final[Mapping[str, Callable[[Call], str | None]]] = {
    "aws:requestedregion": lambda call: call.settings.region,
    "s3:authtype": _auth_type,
    "s3:object-lock-remaining-retention-days": _remaining_days,
    "s3:signatureage": _signature_age,
    "s3:signatureversion": _signature_version,
    "s3:x-amz-copy-source": _copy_source,
}
