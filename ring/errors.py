"""Errors of the ring: what can be wrong with a topology, a placement or a ring file. Pure.

RingError (a ColonnadeError)
├── TopologyError         a device or the tree of devices is not acceptable
├── PlacementImpossible   the topology cannot hold the replicas asked for
└── RingFileError         a ring file cannot be used
    ├── RingFileDamaged   torn, truncated or flipped bytes
    ├── RingFormatUnknown a format this release does not read
    ├── RingUntrusted     unsigned, or signed by a key that is not trusted
    └── RingBusy          another process is changing it
"""

from model.errors import ColonnadeError


class RingError(ColonnadeError):
    """Base of every error the ring raises."""


class TopologyError(RingError):
    """A device, or the set of devices, is not acceptable; names the device, the field and the mend."""


class PlacementImpossible(RingError):
    """The topology cannot hold the number of replicas asked for."""


class RingFileError(RingError):
    """A ring file cannot be used."""


class RingFileDamaged(RingFileError):
    """Bytes of a ring file are missing or changed."""


class RingFormatUnknown(RingFileError):
    """The file is no ring file, or one of a format this release does not read."""


class RingUntrusted(RingFileError):
    """The ring is unsigned, or not signed by a trusted key."""


class RingBusy(RingFileError):
    """Another process is changing the ring file."""
