"""A process that runs operations in Airflow's Python, one at a time, on request.

A request is ``{"op": name, "args": {…}}`` with an attachment; the answer is ``{"ok": value}`` or
``{"error": text, "database": whether the database could not be reached}``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from . import hello, wire

if TYPE_CHECKING:
    from socket import socket


def main(sock: socket, settings: dict) -> None:
    """Import Airflow, say hello, then serve until the parent closes the socket."""
    del settings
    hello.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hello.survive_debug_signal()
    # Operations work on the database with Airflow's own functions, as the scheduler and the dag processor do.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    airflow = hello.import_airflow(sock)
    hello.hello(sock, airflow)
    with contextlib.suppress(wire.Closed, ConnectionError):
        while True:
            request, attachment = wire.read(sock)
            wire.write(sock, answer(request, attachment))


def answer(request: dict[str, Any], attachment: bytes) -> dict[str, Any]:
    """Run one operation; whatever it raises becomes an error answer."""
    try:
        return {"ok": run(request["op"], request["args"], attachment)}
    except Exception as error:
        return {"error": hello.tail(error), "database": is_of_the_database(error)}


def is_of_the_database(error: Exception) -> bool:
    """Return whether this is how SQLAlchemy says that the database is not there, or no longer."""
    # Who raised it has imported it.
    known = sys.modules.get("sqlalchemy.exc")
    return known is not None and isinstance(error, (known.OperationalError, known.InterfaceError))


def run(op: str, args: dict[str, Any], attachment: bytes) -> Any:
    """Run the operation ``family.name``: the function ``name`` of ``ops/family.py`` that is marked as one."""
    family, _, name = op.partition(".")
    module = importlib.import_module(f".ops.{family}", __package__)
    function = module.OPS[name]
    return function(**args, attachment=attachment) if attachment else function(**args)
