"""Wall clocks of machines, each of which can be put wrong while processes run there.

Debian's libfaketime (0.9.10) cannot be used: where it leaves the monotonic clock alone, Python's `time.sleep` fails.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().with_name("clock.c")


class Clocks:
    """A file for each machine, with the nanoseconds that its clock is ahead; negative: behind."""

    def __init__(self, folder: Path, compiler: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.library = folder / "clock.so"
        subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self.library, SOURCE], check=True)

    def environ(self, machine: str) -> dict[str, str]:
        """What a process needs to go by the clock of this machine, with all that it starts."""
        file = self.file(machine)
        if not file.exists():
            file.write_bytes(struct.pack("q", 0))
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(file)}

    def put(self, machine: str, seconds: float) -> None:
        # In place, at once: processes have the file mapped.
        with open(self.file(machine), "r+b", buffering=0) as file:
            file.write(struct.pack("q", int(seconds * 1e9)))

    def file(self, machine: str) -> Path:
        return self.folder / machine.replace(" ", "-")


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
