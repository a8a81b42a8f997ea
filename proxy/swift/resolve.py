"""What bytes the name of an object stands for: its own, or those of its segments."""

from __future__ import annotations

from model.objects import Manifest
from proxy.operations.types import OpenObject, StoredObject
from proxy.swift.call import Call
from proxy.swift.large.dynamic import dynamic_readable, is_dynamic
from proxy.swift.large.static_reading import static_readable
from proxy.swift.reading import Readable

MANIFEST = "multipart-manifest"


async def resolve_readable(call: Call, stored: StoredObject, opened: OpenObject | None) -> Readable:
    """Return the bytes that a GET answers with; `opened` is None for a HEAD.

    Raises Refused for segments out of the reach of who asks.
    """
    if stored.record.manifest is Manifest.STATIC:
        return await static_readable(call, stored, opened)
    if is_dynamic(stored.record) and call.parameters.get(MANIFEST) != "get":
        return await dynamic_readable(call, stored, reads=opened is not None)
    record = stored.record
    if opened is None:
        return Readable(stored, record.size, record.etag, record.etag, None)
    return Readable(stored, record.size, record.etag, record.etag, opened.read, opened.data)
