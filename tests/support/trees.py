"""Real trees of files for clients to carry there and back, and the comparison that trusts no client.

The files are the interpreter's own library and the system's documentation, spread evenly over both, with
names added that clients find hard: spaces, unicode, percent signs, empty files, deep folders.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.colony import Colony
from tests.support.programs import require_program

FILES_DEFAULT = 1000
FILE_BYTES_MAX = 16 << 20
CLIENT_S = 900.0
SYSTEM_DOCUMENTS = Path("/usr/share/doc")
_LEFT_OUT = frozenset({"__pycache__", "site-packages", "dist-packages"})

ODD_NAMES = (
    "with space/two  spaces.txt",
    "with space/ leading and trailing ",
    "ünïcödé/naïve café.txt",
    "ünïcödé/e\u0301 of two code points",
    "日本語/文字.txt",
    "emoji/💾🗄️.bin",
    "signs/a+b%20c%41&d=e;f,g",
    "signs/#hash?query=1",
    "signs/'single' \"double\" `back`",
    "signs/~tilde!*()[]{}@$^|<>",
    "signs/back\\slash",
    "signs/-dash",
    ".hidden/.file",
    "dots/...",
    "dots/name.",
    "deep/" + "/".join(f"level-{level:02}" for level in range(40)) + "/leaf",
    "long/" + "n" * 255,
    "folder-and-file",
    "folder-and-file.d/x",
)
"""Each is made three times, in folders of its own: empty, of one byte, and of 70,000 bytes."""
LARGE_NAME = f"odd-{9 << 20}/large enough for every client to send it in parts"


def files_wanted() -> int:
    """How many files a tree has; COLONNADE_TREE_FILES says otherwise."""
    return int(os.environ.get("COLONNADE_TREE_FILES", FILES_DEFAULT))


def build_tree(root: Path, count: int) -> None:
    """Make a tree of exactly `count` files, the same on every run on one machine."""
    odd = [f"{folder}/{name}" for folder in ("odd-0", "odd-1", "odd-70000") for name in ODD_NAMES]
    odd.append(LARGE_NAME)
    for name in odd[:count]:
        size = int(name.partition("/")[0].removeprefix("odd-"))
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((name.encode() * (size // len(name.encode()) + 1))[:size])
    for name, source in _spread(_real_files(), count - len(odd)):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def digests_of(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, by its path in the folder."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with path.open("rb") as file:
                found[str(path.relative_to(root))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def differences(sent: Mapping[str, str], received: Mapping[str, str]) -> list[str]:
    """Return a line for each path whose bytes differ or that only one of two trees has."""
    lost = [f"lost: {name}" for name in sent if name not in received]
    strange = [f"never sent: {name}" for name in received if name not in sent]
    changed = [f"changed: {name}" for name in sent if name in received and sent[name] != received[name]]
    return sorted(lost + strange + changed)


def run_client(
    program: str, arguments: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None = None
) -> str:
    """Run a client and return what it printed; an AssertionError has its words where it failed."""
    done = subprocess.run(
        [require_program(program), *arguments],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=False,
    )
    if done.returncode:
        raise AssertionError(
            f"{program} {' '.join(arguments)}: exit status {done.returncode}\n"
            f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout


def aws_environment(colony: Colony) -> dict[str, str]:
    """Return the settings of aws-cli for the first administrator of a colony."""
    return {
        "AWS_ACCESS_KEY_ID": colony.access_key,
        "AWS_SECRET_ACCESS_KEY": colony.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": colony.s3_endpoint,
        "AWS_MAX_ATTEMPTS": "1",
    }


def swift_environment(colony: Colony) -> dict[str, str]:
    """Return the settings of the `swift` command for the first administrator of a colony."""
    return {"ST_AUTH": colony.swift_auth, "ST_USER": colony.swift_user, "ST_KEY": colony.swift_key}


def rclone_environment(colony: Colony) -> dict[str, str]:
    """Return the settings of two rclone remotes of a colony, `s3:` and `swift:`; failures are not retried."""
    return {
        "RCLONE_CONFIG_S3_TYPE": "s3",
        "RCLONE_CONFIG_S3_PROVIDER": "Other",
        "RCLONE_CONFIG_S3_ENDPOINT": colony.s3_endpoint,
        "RCLONE_CONFIG_S3_ACCESS_KEY_ID": colony.access_key,
        "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": colony.secret_key,
        "RCLONE_CONFIG_SWIFT_TYPE": "swift",
        "RCLONE_CONFIG_SWIFT_AUTH": colony.swift_auth,
        "RCLONE_CONFIG_SWIFT_AUTH_VERSION": "1",
        "RCLONE_CONFIG_SWIFT_USER": colony.swift_user,
        "RCLONE_CONFIG_SWIFT_KEY": colony.swift_key,
        "RCLONE_RETRIES": "1",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
    }


def _real_files() -> list[tuple[str, Path]]:
    """Return names and paths of real files, sorted; those that a running system changes are left out."""
    sources = (("library", Path(sysconfig.get_path("stdlib"))), ("doc", SYSTEM_DOCUMENTS))
    return sorted((f"{label}/{name}", root / name) for label, root in sources for name in _names_below(root))


def _names_below(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_BYTES_MAX:
                yield str(path.relative_to(root))


def _spread(files: Sequence[tuple[str, Path]], count: int) -> list[tuple[str, Path]]:
    """Return `count` of the files, evenly spaced; where there are too few, again under new names."""
    if count <= 0:
        return []
    if count <= len(files):
        return [files[number * len(files) // count] for number in range(count)]
    return [
        (f"again-{number // len(files)}/{files[number % len(files)][0]}", files[number % len(files)][1])
        for number in range(count)
    ]
