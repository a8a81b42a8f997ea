"""Presigned S3 requests with an unsigned payload, computed ahead of a run. Pure.

Own code on purpose: a load generator that shared its signer with the server would share its mistakes.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

EXPIRES_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class S3Keys:
    """An access key with its secret, for one region."""

    access_key: str
    secret_key: str
    region: str = "us-east-1"


class Presigner:
    """Signs many requests for one host at one moment; the day's key is derived once."""

    def __init__(self, keys: S3Keys, *, host: str, now_ms: int) -> None:
        moment = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._timestamp = moment.strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._timestamp[:8]}/{keys.region}/s3/aws4_request"
        self._credential = quote(f"{keys.access_key}/{self._scope}", safe="")
        self._host = host
        key = b"AWS4" + keys.secret_key.encode()
        for part in (self._timestamp[:8], keys.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def presign(self, method: str, path: str, query: Mapping[str, str] | None = None) -> str:
        """The request target for `path` (unquoted, from the root) with its signature in the query."""
        target = quote(path, safe="/-_.~")
        pairs = [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={self._credential}",
            f"X-Amz-Date={self._timestamp}",
            f"X-Amz-Expires={EXPIRES_S}",
            "X-Amz-SignedHeaders=host",
        ]
        pairs.extend(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in (query or {}).items())
        canonical_query = "&".join(sorted(pairs))
        canonical = f"{method}\n{target}\n{canonical_query}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self._timestamp}\n{self._scope}\n{digest}"
        signature = hmac.new(self._key, to_sign.encode(), hashlib.sha256).hexdigest()
        return f"{target}?{canonical_query}&X-Amz-Signature={signature}"
