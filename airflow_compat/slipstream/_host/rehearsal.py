"""Runs a task, or parses a Dag file, that nobody sees: in the zygote, with Airflow's own entry point, before the first fork.

Python writes into code that it runs for the first times (counters, specialised instructions, caches of attribute
look-ups), and Airflow builds and imports things at their first use. Without a rehearsal every child does that for
itself, and each page that it writes to is a page that the kernel copies. Nothing of the user runs here: policies,
listeners, callables named in the configuration and metrics are left out, and what the run changes in the process is put back.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import struct
import sys
import tempfile
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMES = 10
"""Python 3.11 specialises a function's instructions at its eighth call."""

DAG_FILE = '''
from datetime import datetime
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task

def nothing():
    pass

with DAG("slipstream_rehearsal", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for number in range(12):
        PythonOperator(task_id=f"t{number}", python_callable=nothing)

    @task
    def decorated(x):
        pass

    decorated(1)
'''


class Supervisor:
    """The socket to a supervisor that has nothing to say but what the task is; every request is answered with nothing."""

    def __init__(self, startup: dict[str, Any]) -> None:
        self.inbox = bytearray()
        self.answer(0, startup)

    def answer(self, number: int, body: dict[str, Any] | None) -> None:
        """Put an answer into what will be read."""
        frame = msgspec.msgpack.encode((number, body, None))
        self.inbox += struct.pack(">I", len(frame)) + frame

    def sendall(self, data: bytes) -> None:
        """Answer a request."""
        self.answer(msgspec.msgpack.decode(data[4:])[0], None)

    def recv(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def recv_into(self, view: memoryview) -> int:
        """Read into a buffer."""
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def setblocking(self, _: bool) -> None:
        """Do nothing: it never blocks."""

    def close(self) -> None:
        """Do nothing."""


class Silent:
    """Stands in for what must not be called: every attribute is such an object, and calling one does nothing."""

    def __getattr__(self, _: str) -> Silent:
        return self

    def __call__(self, *_: object, **__: object) -> Silent:
        return self


def parse_request(folder: str) -> dict[str, Any]:
    """Return what a parse child is sent first."""
    place = {"file": f"{folder}/rehearsal.py", "bundle_path": folder, "bundle_name": "rehearsal"}
    return {"type": "DagFileParseRequest", **place, "callback_requests": []}


def startup(now: datetime) -> dict[str, Any]:
    """Return what a task's supervisor sends first."""
    moments = dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date"), now)
    names = {"dag_id": "slipstream_rehearsal", "run_id": "rehearsal"}
    run = {**names, **moments, "end_date": None, "clear_number": 0, "run_type": "manual", "state": "running", "conf": {}}
    run |= {"consumed_asset_events": [], "partition_key": None, "triggering_user_name": None}
    ti = {**names, "id": str(uuid.uuid4()), "dag_version_id": str(uuid.uuid4()), "task_id": "t1", "try_number": 1}
    ti |= {"map_index": -1, "hostname": "", "pool_slots": 1, "queue": "default", "priority_weight": 1}
    context = {"dag_run": run, "task_reschedule_count": 0, "max_tries": 0, "should_retry": False, "next_method": None}
    context |= {"next_kwargs": None, "variables": [], "connections": [], "xcom_keys_to_clear": []}
    place = {"dag_rel_path": "rehearsal.py", "bundle_info": {"name": "rehearsal", "version": None}}
    return {"type": "StartupDetails", "ti": ti, "ti_context": context, "start_date": now, "sentry_integration": "", **place}


@contextlib.contextmanager
def swapped(owner: Any, **values: Any) -> Iterator[None]:
    """Give attributes other values for a while."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextlib.contextmanager
def process_kept() -> Iterator[None]:
    """Put back what a task changes in its process."""
    environ, path, loaded = dict(os.environ), list(sys.path), set(sys.modules)
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    try:
        yield
    finally:
        for name in os.environ.keys() - environ.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in environ.items() if os.environ.get(name) != value})
        sys.path[:] = path
        for number, handler in signals.items():
            signal.signal(number, handler)
        for name in sys.modules.keys() - loaded:
            if name.startswith("unusual_prefix_"):
                del sys.modules[name]


@contextlib.contextmanager
def users_code_left_out(folder: str, first: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Let the child's code find only the Dag file in ``folder`` and the message ``first``, and call nothing of a user."""
    import setproctitle
    from airflow.dag_processing import dagbag
    from airflow.dag_processing.bundles.local import LocalDagBundle
    from airflow.sdk.execution_time import comms, task_runner
    from opentelemetry.trace import NoOpTracer

    class Bundles:
        def get_bundle(self, name: str, version: str | None = None) -> LocalDagBundle:
            del version
            return LocalDagBundle(name=name, path=folder)

    with contextlib.ExitStack() as stack:
        for owner, values in (
            (
                task_runner,
                {
                    "DagBundlesManager": Bundles,
                    "get_hostname": lambda: "",
                    "get_listener_manager": Silent(),
                    "stats": Silent(),
                    "tracer": NoOpTracer(),
                    "_get_worker_state_store_backend": lambda: None,
                },
            ),
            (comms, {"socket": lambda **_: Supervisor(first())}),
            (dagbag.settings, {"dag_policy": lambda _: None, "task_policy": lambda _: None}),
            (setproctitle, {"setproctitle": lambda _: None}),
        ):
            stack.enter_context(swapped(owner, **values))
        # Otherwise the runner would go on as the user of ``[core] default_impersonation``, through sudo.
        os.environ["_AIRFLOW__REEXECUTED_PROCESS"] = "1"
        try:
            yield
        finally:
            # Its presence tells the SDK that it is in a task.
            vars(task_runner).pop("SUPERVISOR_COMMS", None)


def rehearse(kind: str) -> bool:
    """Do what the children of this kind do; return whether it went through. One that fails costs nothing but its effect."""
    from airflow.dag_processing import processor
    from airflow.sdk.execution_time import task_runner

    try:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "rehearsal.py").write_text(DAG_FILE)
            if kind == "parse":
                entry, first = processor._parse_file_entrypoint, lambda: parse_request(folder)
            else:
                entry, first = task_runner.main, lambda: startup(datetime.now(tz=timezone.utc))
            with process_kept(), users_code_left_out(folder, first):
                for _ in range(TIMES):
                    contextvars.copy_context().run(entry)
    except (Exception, SystemExit):
        return False
    return True
