"""All processes below this one, however they came to be there."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str
    words: tuple[str, ...]


def adopt_orphans() -> None:
    """Processes whose parent is killed become children of this one, so that none leaves our sight."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def below(root: int) -> list[Process]:
    """Every live descendant of a process."""
    every = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").strip("\0").split("\0")
            every[int(pid)] = Process(int(pid), int(fields[1]), fields[0], tuple(words))
    known = {root}
    while more := {pid for pid, one in every.items() if one.parent in known} - known:
        known |= more
    return [every[pid] for pid in sorted(known - {root}) if every[pid].state not in "ZX"]


def reap(but: set[int]) -> None:
    """Ends the zombies that we have adopted."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ChildProcessError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            if fields[0] == "Z" and int(fields[1]) == os.getpid() and int(pid) not in but:
                os.waitpid(int(pid), os.WNOHANG)
