"""The child that tests one connection: mirrors the child's part of ``connection_test_supervisor.py``.

Its first frame is ``{"type": "ConnectionTestStartup", "timeout", "connection": {"conn_id", "conn_type", "host", "login",
"password", "schema", "port", "extra"}}``. It says what came of it with ``{"type": "ConnectionTestResult", "works", "message",
"seconds"}``.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import CommsDecoder
    from structlog.typing import FilteringBoundLogger


class Result:
    """A message in the form that ``CommsDecoder`` sends."""

    def __init__(self, **fields: Any) -> None:
        """Hold the fields of the message."""
        self.fields = fields

    def model_dump(self) -> dict[str, Any]:
        """Return the message as it goes out."""
        return {"type": "ConnectionTestResult", **self.fields}


def run(start: dict[str, Any], comms: CommsDecoder, log: FilteringBoundLogger) -> None:
    """Test the connection of ``start`` and send what came of it."""
    began = time.monotonic()
    works, message = tested(start["connection"], start["timeout"], log)
    seconds = time.monotonic() - began
    log.info("Connection test finished", works=works, duration=round(seconds, 3))
    comms.send(Result(works=works, message=message, seconds=seconds))


def tested(fields: dict[str, Any], timeout: int, log: FilteringBoundLogger) -> tuple[bool, str | None]:
    """Return whether a connection works, and what its hook says of it."""
    from airflow.sdk.definitions.connection import Connection
    from airflow.sdk.exceptions import AirflowTaskTimeout
    from airflow.sdk.execution_time.timeout import TimeoutPosix

    too_long = f"Connection test timed out after {timeout}s"
    try:
        connection = Connection(**fields)
        # A hook may look its connection up by the id.
        os.environ[f"AIRFLOW_CONN_{connection.conn_id.upper()}"] = connection.get_uri()
        with TimeoutPosix(seconds=timeout, error_message=too_long):
            works, message = connection.test_connection()
    except AirflowTaskTimeout:
        log.exception("Connection test timed out, marking failed", timeout=timeout)
        return False, too_long
    except Exception as error:
        log.exception("Connection test failed unexpectedly")
        return False, f"Connection test failed unexpectedly: {type(error).__name__}"
    return bool(works), message if message is None else str(message)
