"""Seeing the processes that a test run has started, from /proc alone."""

from dataclasses import dataclass
from pathlib import Path

# Python keeps these for itself and ends them with the interpreter.
_INTERPRETER_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A living process and the command line that it shows."""

    pid: int
    command: str


def children_of(parent_pid: int) -> list[ChildProcess]:
    """The living direct children of `parent_pid`, zombies and the interpreter's own helpers apart."""
    children = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command name may hold spaces and parentheses: the fields are counted from its end.
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # ended while we looked
        if int(ppid) == parent_pid and state != "Z" and not any(h in command for h in _INTERPRETER_HELPERS):
            children.append(ChildProcess(pid=int(entry.name), command=command))
    return children
