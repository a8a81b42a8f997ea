"""Settings of containers and accounts as headers, and headers as settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from model.containers import ACL_READ, ACL_WRITE
from model.stamp import Stamp, stamp_micros, stamp_ms
from proxy.auth.acl import AclKind, InvalidAcl, clean_acl
from proxy.dates import decimal_seconds, http_date, whole_seconds_up
from proxy.http.messages import Headers
from proxy.operations.types import AccountTotals, Container, Totals
from proxy.swift.errors import Refused
from proxy.swift.limits import Limits
from proxy.swift.metadata import changed_metadata, header_name, metadata_of, metadata_registers

HeaderItems = list[tuple[str, str]]
POLICY: Final = "default"
_ACLS: Final = (("read", ACL_READ, AclKind.READ), ("write", ACL_WRITE, AclKind.WRITE))
_OWNERS_META: Final = frozenset(("temp-url-key", "temp-url-key-2"))
"""Metadata that is a secret: shown to and taken from the owner alone."""


def describe_container(container: Container, totals: Totals, *, to_owner: bool) -> HeaderItems:
    """Return the response headers of a container; ACLs and keys are shown to its owner only."""
    items = [
        ("X-Container-Object-Count", str(totals.count)),
        ("X-Container-Bytes-Used", str(totals.bytes)),
        ("X-Timestamp", decimal_seconds(stamp_micros(container.entry.stamp))),
        ("Last-Modified", _last_modified(container.entry.newest)),
        ("Accept-Ranges", "bytes"),
        ("X-Storage-Policy", container.record.policy),
    ]
    if to_owner:
        for word, register, _ in _ACLS:
            text = container.settings.get(register)
            if text:
                items.append((f"X-Container-{word.capitalize()}", text.decode("utf-8", "surrogateescape")))
    return items + _describe_metadata("X-Container-Meta-", container.settings, to_owner=to_owner)


def describe_account(account: Container | None, totals: AccountTotals, *, to_owner: bool) -> HeaderItems:
    """Return the response headers of an account; None is one that nothing was written to yet."""
    counts = (
        ("Container-Count", totals.containers),
        ("Object-Count", totals.objects),
        ("Bytes-Used", totals.bytes),
    )
    items = [(f"X-Account-{name}", str(value)) for name, value in counts]
    if totals.containers:
        items += [(f"X-Account-Storage-Policy-{POLICY.capitalize()}-{n}", str(value)) for n, value in counts]
    items.append(("Accept-Ranges", "bytes"))
    if account is None:
        return items
    items.append(("X-Timestamp", decimal_seconds(stamp_micros(account.entry.stamp))))
    return items + _describe_metadata("X-Account-Meta-", account.settings, to_owner=to_owner)


def container_changes(headers: Headers, limits: Limits, *, by_owner: bool) -> dict[str, bytes]:
    """Return the registers that a container's PUT or POST sets, empty ones removed. Raises Refused."""
    metadata = _permitted(changed_metadata(headers, "container", limits), by_owner=by_owner)
    changes = metadata_registers(metadata)
    if by_owner:
        changes.update(_acl_changes(headers))
    return changes


def account_changes(headers: Headers, limits: Limits) -> dict[str, bytes]:
    """Return the registers that an account's PUT or POST sets, empty ones removed. Raises Refused."""
    return metadata_registers(changed_metadata(headers, "account", limits))


def check_policy(headers: Headers) -> None:
    """Refuse a storage policy that this colony does not have."""
    policy = headers.get("x-storage-policy")
    if policy and policy.lower() != POLICY:
        raise Refused(400, f"Invalid X-Storage-Policy '{policy}'", content_type="text/plain")


def _acl_changes(headers: Headers) -> dict[str, bytes]:
    changes: dict[str, bytes] = {}
    for word, register, kind in _ACLS:
        if f"x-remove-container-{word}" in headers:
            changes[register] = b""
        header = f"x-container-{word}"
        if header in headers:
            try:
                changes[register] = clean_acl(headers[header], kind).encode("utf-8", "surrogateescape")
            except InvalidAcl as error:
                raise Refused(400, str(error)) from error
    return changes


def _permitted(metadata: dict[str, str], *, by_owner: bool) -> dict[str, str]:
    if by_owner:
        return metadata
    return {name: value for name, value in metadata.items() if name not in _OWNERS_META}


def _describe_metadata(prefix: str, settings: Mapping[str, bytes], *, to_owner: bool) -> HeaderItems:
    return [
        (header_name(prefix, name), value)
        for name, value in metadata_of(settings).items()
        if to_owner or name not in _OWNERS_META
    ]


def _last_modified(newest: Stamp) -> str:
    return http_date(whole_seconds_up(stamp_ms(newest)))
