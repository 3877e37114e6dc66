"""Operations that test the service itself."""

from __future__ import annotations

import os
import sys
import time


def about() -> dict[str, object]:
    """Say which process this is."""
    return {"pid": os.getpid(), "executable": sys.executable}


def wait(seconds: float) -> None:
    """Do nothing for a while."""
    time.sleep(seconds)


OPS = {"about": about, "wait": wait}
