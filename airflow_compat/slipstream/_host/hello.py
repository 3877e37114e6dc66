"""What every host process does first: die with its parent, import Airflow, say which one it is."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

PR_SET_PDEATHSIG = 1


def die_with_parent(sig: int) -> None:
    """Ask the kernel for ``sig`` at the parent's death. Elsewhere than on Linux the closed socket has to do."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)


def survive_debug_signal() -> None:
    """Let SIGUSR2 pass by, which asks the scheduler for its state: who sends it may mean everything by the name of slipstream.

    A handler, not ``SIG_IGN``: programs that this process starts have the default again. Airflow's own child processes reset it.
    """
    signal.signal(signal.SIGUSR2, lambda *_: None)


def tail(error: BaseException, lines: int = 12) -> str:
    """Return the last lines of an error's traceback."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
    return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Keep Airflow from starting the thread that sends spans: a process that forks must have one thread only."""
    name = "AIRFLOW__TRACES__OTEL_ON"
    before = os.environ.get(name)
    os.environ[name] = "False"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def trace() -> None:
    """Let this process, which forks no more, send spans if that is configured."""
    from airflow._shared.observability.traces import configure_otel
    from airflow.configuration import conf

    configure_otel(conf)


def as_the_command() -> None:
    """Do what the ``airflow`` command does for its processes before it runs a role (``airflow/__main__.py``)."""
    from airflow.configuration import conf

    if conf.get("core", "security") == "kerberos":
        os.environ["KRB5CCNAME"] = conf.get("kerberos", "ccache")
        os.environ["KRB5_KTNAME"] = conf.get("kerberos", "keytab")


def import_airflow(sock: socket, *, forks: bool = False) -> str:
    """Import Airflow and return its version; without it, say so to the parent and leave."""
    try:
        with untraced() if forks else contextlib.nullcontext():
            import airflow
        as_the_command()
    except ModuleNotFoundError as error:
        if error.name != "airflow":
            refuse(sock, tail(error))
        wire.write(sock, {"failed": "no_airflow"})
        sys.exit(1)
    except BaseException as error:
        refuse(sock, tail(error))
    version = airflow.__version__
    if not version.startswith("3.3."):
        wire.write(sock, {"failed": "unsupported", "airflow": version})
        sys.exit(1)
    return version


def refuse(sock: socket, why: str) -> None:
    """Report that this process cannot start, and leave."""
    wire.write(sock, {"failed": "error", "why": why})
    sys.exit(1)


def hello(sock: socket, airflow: str, **more: object) -> None:
    """Tell the parent that this process is ready."""
    facts = {"python": platform.python_version(), "airflow": airflow, "prefix": sys.prefix}
    wire.write(sock, {"ready": {**facts, **more}})
