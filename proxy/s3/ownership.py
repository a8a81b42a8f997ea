"""Who owns the objects of a bucket, and whether ACLs count in it. Pure.

Source: Amazon S3 user guide, "Controlling ownership of objects and disabling ACLs for your bucket".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from model.containers import OWNERSHIP

if TYPE_CHECKING:
    from model.objects import ObjectRecord
    from proxy.identity.users import User
    from proxy.operations.types import Container


class Ownership(StrEnum):
    """Who owns what other accounts write. AWS's names."""

    ENFORCED = "BucketOwnerEnforced"
    PREFERRED = "BucketOwnerPreferred"
    WRITER = "ObjectWriter"


OWNERS_FULL_CONTROL = "bucket-owner-full-control"


def ownership_of(settings: Mapping[str, bytes]) -> Ownership:
    """Return who owns what: the writer, where the bucket does not say."""
    held = settings.get(OWNERSHIP)
    return Ownership(held.decode()) if held else Ownership.WRITER


def owner_of_new(container: Container, user: User | None, canned_acl: str) -> str:
    """Return the id under which a new object is owned.

    Whoever owns the bucket's account writes in the name of its owner where it is not in the account
    itself, so that administrators of all accounts leave nothing behind that its holders cannot read.
    """
    owner = container.record.owner
    if user is None:
        return owner
    match ownership_of(container.settings):
        case Ownership.ENFORCED:
            return owner
        case Ownership.PREFERRED if canned_acl == OWNERS_FULL_CONTROL:
            return owner
    if user.account != container.path.account and user.owns(container.path.account):
        return owner
    return user.id


def owner_of(container: Container, record: ObjectRecord) -> str:
    """Return the id of an object's owner."""
    if not record.owner or ownership_of(container.settings) is Ownership.ENFORCED:
        return container.record.owner
    return record.owner
