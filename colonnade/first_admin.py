"""Makes the first administrator, in a process of its own while a colony starts for the first time.

Hashing needs threads, and the supervisor, which forks, must have none. Usage: the module with `--data DIR`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final

from colonnade.client import open_colony
from colonnade.folder import Folder, open_folder
from colonnade.founding import read_credentials
from kit.clock import monotonic_ms
from kit.cluster_key import read_cluster_key
from model.errors import Unavailable
from proxy.identity.directory import Directory
from proxy.identity.first_admin import ensure_first_admin

PATIENCE_MS: Final = 90_000
_RETRY_S: Final = 0.1


async def make_first_admin(folder: Folder) -> None:
    """Make the administrator of DATA/admin.json unless there are users; waits for a majority of the nodes.

    Raises Unavailable where that takes too long.
    """
    credentials = read_credentials(folder)
    if credentials is None:
        return
    give_up_ms = monotonic_ms() + PATIENCE_MS
    async with open_colony(folder.root, patience_ms=PATIENCE_MS) as colony:
        directory = Directory(colony, read_cluster_key(folder.cluster_key))
        while True:
            try:
                await ensure_first_admin(
                    directory,
                    user_id=credentials.swift_user,
                    password=credentials.swift_key,
                    access_key=credentials.access_key,
                    secret=credentials.secret_key,
                )
                return
            except Unavailable:
                if monotonic_ms() > give_up_ms:
                    raise
                await asyncio.sleep(_RETRY_S)


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = open_folder(parser.parse_args().data)
    try:
        asyncio.run(make_first_admin(folder))
    except Unavailable as error:
        sys.exit(f"the first administrator could not be made: {error}")


if __name__ == "__main__":
    main()
