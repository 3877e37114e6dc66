"""Sending events to the log of the scheduler."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time as clock
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone
from typing import Any

_ordinals: dict[str, itertools.count] = {}
"""How many events each task instance of this process has sent."""

RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same event is sent again."""


class EventNotSent(RuntimeError):
    """The log has not taken an event."""


def send(
    key: str,
    data: Any = None,
    *,
    type: str = "slipstream.event",  # noqa: A002 - as CloudEvents names it
    scope: str | None = None,
    namespace: str | None = None,
    source: str | None = None,
    sender: str | None = None,
    id: str | None = None,  # noqa: A002 - as CloudEvents names it
    time: datetime | None = None,
    extensions: dict[str, Any] | None = None,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 30.0,
) -> int:
    """Send an event, and return its position in the log.

    Inside a task the event carries the task's Dag and run; it is for the triggers of that run only unless ``scope`` is
    ``"all"`` (triggers on Dags see it in any case). Its id follows from the task instance, so that an event which has to
    be sent twice because an answer was lost is in the log once. Outside of a task ``namespace`` must be given.

    :param key: what triggers look for first; the CloudEvents ``subject``.
    :param data: anything that JSON can express.
    :param scope: ``"run"`` (inside a task the default) or ``"all"``.
    :param url: address of the scheduler's API, without ``/events``; else ``[slipstream] events_url``, else the port of
        the scheduler's health server on this machine.
    :param token: else ``[slipstream] events_token``; none is needed on the scheduler's own machine.
    :param timeout: for how many seconds it is tried again when the scheduler does not answer.
    :raises EventNotSent: the log refuses the event, or could not be reached.
    """
    if not isinstance(key, str) or not key:
        raise ValueError(f"an event's key must be a text that is not empty, not {key!r}")
    if scope not in (None, "run", "all"):
        raise ValueError(f"an event's scope must be 'run' or 'all', not {scope!r}")
    ti = _task_instance()
    if ti is None:
        if namespace is None:
            raise ValueError(f"event {key!r} is not sent by a task, so its namespace must be given")
        if scope == "run":
            raise ValueError(f"event {key!r} is not sent by a task, so there is no run for scope='run'")
    event = {
        "specversion": "1.0",
        "id": id or (str(uuid.uuid4()) if ti is None else _id_in(ti)),
        "source": source or ("slipstream.events" if ti is None else f"/tasks/{ti.dag_id}/{ti.task_id}"),
        "type": type,
        "subject": key,
        "time": (time or datetime.now(timezone.utc)).isoformat(),
        "namespace": namespace or "default",
        "data": data,
    }
    if sender or ti is not None:
        event["sender"] = sender or f"{ti.dag_id}.{ti.task_id}"
    if ti is not None:
        event.update(scope=scope or "run", dagid=ti.dag_id, runid=ti.run_id)
    event.update(extensions or {})
    address = (url or _option("events_url") or _default_url()).rstrip("/") + "/events"
    return _post(address, event, token or _option("events_token"), timeout)


def _task_instance() -> Any:
    """Return the running task's instance, ``None`` outside of a task. Airflow is not imported for it."""
    if "airflow.sdk" not in sys.modules:
        return None
    from airflow.sdk import get_current_context

    try:
        return get_current_context()["ti"]
    except RuntimeError:
        return None


def _id_in(ti: Any) -> str:
    """Return the id of the next event of a try.

    A try that was deferred or rescheduled goes on in another process, with events of its own.
    """
    process = f"{ti.id}/{ti.try_number}"
    told = getattr(ti, "_ti_context_from_server", None)
    if getattr(told, "next_method", None) or getattr(told, "task_reschedule_count", 0):
        process += f"/{ti.start_date.isoformat()}"
    return f"{process}/{next(_ordinals.setdefault(process, itertools.count()))}"


def _option(name: str) -> str | None:
    """Return an option of ``[slipstream]``: from the environment, or from Airflow's configuration if Airflow is loaded."""
    found = os.environ.get(f"AIRFLOW__SLIPSTREAM__{name.upper()}")
    return found or _configured("slipstream", name)


def _configured(section: str, name: str) -> str | None:
    for module in ("airflow.configuration", "airflow.sdk.configuration"):
        conf = getattr(sys.modules.get(module), "conf", None)
        if conf is not None:
            return conf.get(section, name, fallback=None)
    return None


def _default_url() -> str:
    option = "scheduler_health_check_server_port"
    port = os.environ.get(f"AIRFLOW__SCHEDULER__{option.upper()}") or _configured("scheduler", option)
    return f"http://127.0.0.1:{port or 8974}"


def _post(address: str, event: dict[str, Any], token: str | None, timeout: float) -> int:
    body = json.dumps(event, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/cloudevents+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    # The scheduler is not behind the proxy that the environment may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    what = f"event {event['subject']!r}"
    end, pause = clock.monotonic() + timeout, 0.1
    while True:
        request = urllib.request.Request(address, data=body, headers=headers, method="POST")  # noqa: S310
        left = max(1.0, end - clock.monotonic())
        try:
            with opener.open(request, timeout=left) as answer:
                return json.load(answer)["events"][0]["position"]
        except urllib.error.HTTPError as error:
            why = error.read().decode(errors="replace").strip()
            if error.code not in RETRIED:
                raise EventNotSent(f"{address} refuses {what} with {error.code}: {why}") from None
            problem: Exception = error
        except (OSError, ValueError, KeyError, IndexError) as error:
            problem = error
        if clock.monotonic() + pause > end:
            raise EventNotSent(
                f"{address} has not taken {what} within {timeout:g} s ({problem}): is the scheduler running, and is"
                " [slipstream] events_url its address?"
            ) from problem
        clock.sleep(pause)
        pause = min(pause * 2, 2.0)
