"""Every error that crosses a package boundary, in one tree that knows no HTTP. Pure.

The tree:

    ColonnadeError
    ├── BadRequest               the caller asks for something that cannot be
    │   ├── InvalidName          a name outside the limits
    │   ├── InvalidRange         a byte range outside the object
    │   └── BadDigest            bytes do not match the checksum sent with them
    ├── Absent                   what was named is not there
    │   ├── NoSuchAccount
    │   ├── NoSuchContainer
    │   ├── NoSuchObject
    │   │   └── DeleteMarkerFound    what is asked for is a delete marker
    │   ├── NoSuchVersion
    │   └── NoSuchUpload
    ├── Conflict                 what is there forbids the request
    │   ├── ContainerExists
    │   ├── ContainerNotEmpty
    │   ├── PreconditionFailed
    │   └── Contended            others kept changing what a condition was about
    ├── Denied                   who asks may not
    ├── Encrypted                bytes cannot be read or written for want of the right key
    │   ├── CustomerKeyNeeded    only the customer's key opens the object, and none came
    │   ├── CustomerKeyWrong     the key that came does not open the object
    │   ├── CustomerKeyUnfit     a key came for what no customer's key encrypts
    │   ├── NoSuchMasterKey
    │   ├── MasterKeyDisabled
    │   └── MasterKeyLost        the colony has lost the master key, or cannot open it
    ├── Unavailable              the colony cannot answer now; asking again may help
    │   ├── NotEnoughReplicas
    │   ├── DeadlineExceeded
    │   ├── NodeUnreachable
    │   ├── DeviceFull
    │   ├── DeviceFailed
    │   └── StaleRing            the request was placed by a ring that is no longer live
    ├── IncompleteBody           the client went away before its body was whole
    └── CorruptRecord            stored bytes fail their checksum or cannot be decoded
"""

from __future__ import annotations


class ColonnadeError(Exception):
    """The root of the tree; its text is fit for the user who caused it."""


class BadRequest(ColonnadeError):
    """The caller asks for something that cannot be."""


class InvalidName(BadRequest):
    """A name is outside the limits."""


class InvalidRange(BadRequest):
    """A byte range lies outside the object of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the {size} bytes of the object")
        self.size = size


class BadDigest(BadRequest):
    """The body does not match the checksum sent with it."""


class Absent(ColonnadeError):
    """What was named is not there."""


class NoSuchAccount(Absent):
    """The account does not exist."""


class NoSuchContainer(Absent):
    """The container (bucket) does not exist."""


class NoSuchObject(Absent):
    """The object does not exist, or was deleted."""


class DeleteMarkerFound(NoSuchObject):
    """What is asked for is a delete marker: of this version id, made at this time.

    `is_current` says that it was found as the current version of its key, not by its id.
    """

    def __init__(
        self, name: str, version_id: str = "", modified_ms: int = 0, *, is_current: bool = False
    ) -> None:
        super().__init__(name)
        self.version_id = version_id
        self.modified_ms = modified_ms
        self.is_current = is_current


class NoSuchVersion(Absent):
    """The object has no version of that id, or the text is no version id at all."""


class NoSuchUpload(Absent):
    """The multipart upload does not exist, or has ended."""


class Conflict(ColonnadeError):
    """What is there forbids the request."""


class ContainerExists(Conflict):
    """The container's name is taken, by `owner`."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(f"container {name!r} exists")
        self.owner = owner


class ContainerNotEmpty(Conflict):
    """A container that holds objects cannot be deleted."""


class PreconditionFailed(Conflict):
    """A condition of the request does not hold."""


class Contended(Conflict):
    """Others kept changing what a condition of the request is about; nothing was done. Try again."""


class Denied(ColonnadeError):
    """Who asks may not."""


class Encrypted(ColonnadeError):
    """Bytes cannot be read or written for want of the right key."""


class CustomerKeyNeeded(Encrypted):
    """Only the key of the customer who stored the object opens it, and none came with the request."""

    def __init__(self, text: str = "only its owner's own key opens the object") -> None:
        super().__init__(text)


class CustomerKeyWrong(Encrypted):
    """The customer's key that came is not the one that the object is encrypted under."""

    def __init__(self, text: str = "the key sent is not the one that the object is encrypted under") -> None:
        super().__init__(text)


class CustomerKeyUnfit(Encrypted):
    """A customer's key came for an object that no customer's key encrypts."""

    def __init__(self, text: str = "The encryption parameters are not applicable to this object.") -> None:
        super().__init__(text)


class NoSuchMasterKey(Encrypted):
    """The colony has no master key of that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"Invalid keyId {key_id!r}: the colony has no such key")


class MasterKeyDisabled(Encrypted):
    """The master key is shut off, until an operator enables it."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"key {key_id!r} is disabled")


class MasterKeyLost(Encrypted):
    """The colony no longer has the master key that something was encrypted under, or cannot open it."""


class Unavailable(ColonnadeError):
    """The colony cannot answer now; asking again may help."""


class NotEnoughReplicas(Unavailable):
    """Fewer replicas than a majority answered."""


class DeadlineExceeded(Unavailable):
    """The answer did not come in time."""


class NodeUnreachable(Unavailable):
    """No connection to a node could be had, or it broke before the answer."""


class DeviceFull(Unavailable):
    """The device has no room for the write and keeps its reserve."""


class DeviceFailed(Unavailable):
    """The device answers with errors, is read-only, or is set aside."""


class StaleRing(Unavailable):
    """The request names a ring epoch other than the node's own `epoch`."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the node is at ring epoch {epoch}")
        self.epoch = epoch


class IncompleteBody(ColonnadeError):
    """The client went away before its body was whole."""


class CorruptRecord(ColonnadeError):
    """Stored bytes fail their checksum or cannot be decoded."""
