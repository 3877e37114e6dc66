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


def identity() -> dict[str, str]:
    """Say on which host and as which user this runs, as Airflow's job rows do."""
    from airflow.utils.net import get_hostname
    from airflow.utils.platform import getuser

    return {"hostname": get_hostname(), "user": getuser()}


OPS = {"about": about, "identity": identity, "wait": wait}
