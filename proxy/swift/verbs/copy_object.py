"""COPY of an object to the name in the Destination header."""

from __future__ import annotations

from model.names import ObjectPath
from proxy.http.messages import Response
from proxy.swift.call import Call
from proxy.swift.copying import copy, named_account
from proxy.swift.errors import Refused
from proxy.swift.router import split_object_header


async def copy_object(call: Call) -> Response:
    """Copy the object."""
    destination = call.headers.get("destination")
    if not destination:
        raise Refused(412, "Destination header required")
    complaint = "Destination header must be of the form <container name>/<object name>"
    container, name = split_object_header(destination, complaint)
    account = named_account(call, "destination-account")
    return await copy(call, call.route.object_path, ObjectPath(account, container, name))
