"""A store under measurement as the runner sees it, and how its Swift token is fetched."""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.plan import Endpoint, SwiftToken
from bench.processes import StoreFailed
from bench.sigv4 import S3Keys
from bench.workload import Api

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RunningStore:
    """A store that serves: its name in tables, its endpoints, and the processes whose CPU counts."""

    name: str
    endpoints: dict[Api, Endpoint]
    server_pids: tuple[int, ...]
    version: str = ""
    stop: Callable[[], None] = lambda: None

    def endpoint(self, api: Api) -> Endpoint:
        """The endpoint of an API; raises StoreFailed where the store has none."""
        try:
            return self.endpoints[api]
        except KeyError:
            raise StoreFailed(f"{self.name}: no {api.value} endpoint is known") from None


def s3_endpoint(url: str, keys: S3Keys) -> Endpoint:
    """The endpoint of an S3 service at `url`, addressed by path."""
    parts = urlsplit(url)
    return Endpoint(parts.scheme, parts.hostname or "", _port(url), parts.path.rstrip("/"), keys)


def swift_endpoint(auth_url: str, *, user: str, key: str) -> Endpoint:
    """Ask a TempAuth v1 service for storage URL and token; raises StoreFailed."""
    parts = urlsplit(auth_url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", _port(auth_url), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path, headers={"X-Auth-User": user, "X-Auth-Key": key})
        response = connection.getresponse()
        response.read()
        token, storage_url = response.headers["X-Auth-Token"], response.headers["X-Storage-Url"]
    except (OSError, http.client.HTTPException) as error:
        raise StoreFailed(f"{auth_url}: no answer to the request for a token ({error})") from error
    finally:
        connection.close()
    if not 200 <= response.status < 300 or not token or not storage_url:
        raise StoreFailed(f"{auth_url}: no token, status {response.status}; check user and key")
    storage = urlsplit(storage_url)
    return Endpoint(
        storage.scheme,
        storage.hostname or "",
        _port(storage_url),
        storage.path.rstrip("/"),
        SwiftToken(token),
    )


def _port(url: str) -> int:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreFailed(f"not an http or https address: {url!r}")
    return parts.port or (443 if parts.scheme == "https" else 80)
