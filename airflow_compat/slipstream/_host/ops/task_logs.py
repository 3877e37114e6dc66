"""Upload of task logs by the deployment's own remote log handler (``[logging] remote_logging``)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def upload(path: str, ti: dict[str, Any] | None = None) -> bool:
    """Upload one log, named by its path below ``base_log_folder``; say whether there is a handler to do so."""
    from airflow.sdk import log

    # As in a fresh process: a handler may keep what it knows of one task.
    log._ActiveLoggingConfig.logging_config_loaded = False
    handler = log.load_remote_log_handler()
    if handler is None:
        return False
    with connection(log.load_remote_conn_id()):
        if getattr(handler, "processors", ()):
            in_a_child(handler, path, task_instance(ti))
        else:
            handler.upload(path, task_instance(ti))
    return True


def task_instance(ti: dict[str, Any] | None) -> Any:
    """Make what handlers get to know of the task instance: Airflow's own workload class."""
    if ti is None:
        return None
    from airflow.executors.workloads.task import TaskInstanceDTO

    return TaskInstanceDTO.model_validate(ti)


@contextlib.contextmanager
def connection(conn_id: str | None) -> Iterator[None]:
    """Put the handler's connection where hooks look first, as Airflow's supervisor does."""
    uri = find(conn_id) if conn_id else None
    if uri is None:
        yield
        return
    place = f"AIRFLOW_CONN_{conn_id.upper()}"
    before = {name: os.environ.get(name) for name in (place, "_AIRFLOW_PROCESS_CONTEXT")}
    os.environ.update({place: uri, "_AIRFLOW_PROCESS_CONTEXT": "client"})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def find(conn_id: str) -> str | None:
    """Look the connection up in the environment, the secrets backends and the database."""
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models import Connection

    try:
        return Connection.get_connection_from_secrets(conn_id).get_uri()
    except AirflowNotFoundException:
        return None


def in_a_child(handler: Any, path: str, ti: Any) -> None:
    """Give a handler that sends lines one by one those of the file, in a process that ends with them.

    Airflow's supervisor feeds such a handler while the task runs. It is closed by its upload, and may have threads.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            feed(handler, path)
            handler.upload(path, ti)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        code = os.waitstatus_to_exitcode(status)
        raise RuntimeError(f"the upload of {path} ended with exit code {code}; see the output of the worker")


def feed(handler: Any, path: str) -> None:
    """Put each line of the file through the handler's processors."""
    from airflow.sdk.configuration import conf

    file = os.path.join(conf.get("logging", "base_log_folder"), path)
    with open(file, "ab") as target, open(file, "rb") as lines:
        # Handlers take the name of the file from the logger.
        logger = type("Logger", (), {"_file": target})()
        for line in lines:
            event = record(line)
            for processor in handler.processors:
                event = processor(logger, event.get("level", "info"), event)


def record(line: bytes) -> dict[str, Any]:
    """Read a line of a task's log; what is no JSON object is a message."""
    text = line.decode(errors="replace").rstrip("\n")
    with contextlib.suppress(ValueError):
        if isinstance(event := json.loads(text), dict):
            return event
    return {"event": text, "level": "info"}


OPS = {"upload": upload}
