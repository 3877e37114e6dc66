"""The child that runs one executor callback: mirrors the child's part of ``callback_supervisor.py``. Tests of connections are run
by such children too (``connection_test.py``).

Its first frame is ``{"type": "CallbackStartup", "callback_path", "callback_kwargs", "dag_rel_path", "bundle_info":
{"name", "version"} | None}``; exit code 0 means that the callback ran.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import connection_test

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def bundle_path(info: dict[str, Any] | None, log: FilteringBoundLogger) -> str | None:
    """Make the callback's bundle importable and return where it is; the callback is tried without it too."""
    if not info or not info.get("name"):
        return None
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    try:
        bundle = DagBundlesManager().get_bundle(name=info["name"], version=info.get("version"))
        bundle.initialize()
    except Exception:
        log.warning("Failed to initialize DAG bundle for callback", bundle_name=info["name"], exc_info=True)
        return None
    path = str(bundle.path)
    if path not in sys.path:
        sys.path.append(path)
    return path


def main() -> None:
    """Read the first frame and do what it says."""
    import structlog

    from airflow.sdk.execution_time import callback_supervisor, task_runner
    from airflow.sdk.execution_time.comms import CommsDecoder

    log = structlog.get_logger(logger_name="callback_runner")
    comms = CommsDecoder(log=log)
    task_runner.SUPERVISOR_COMMS = comms
    start: dict[str, Any] = comms._read_frame().body or {}
    if start["type"] == "ConnectionTestStartup":
        return connection_test.run(start, comms, log)
    succeeded, error = callback_supervisor.execute_callback(
        callback_path=start["callback_path"],
        callback_kwargs=start["callback_kwargs"],
        dag_rel_path=start["dag_rel_path"],
        bundle_path=bundle_path(start.get("bundle_info"), log),
        log=log,
    )
    if not succeeded:
        log.error("Callback failed", error=error)
        sys.exit(1)
