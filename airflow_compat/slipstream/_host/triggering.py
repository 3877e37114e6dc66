"""The events that made a run, in the context of its tasks."""

from __future__ import annotations

import functools
from typing import Any

KEY = "triggering_events"
"""Where the scheduler puts them in the run's conf, and where they are in the context."""


def install() -> None:
    """Give every task of such a run its events; the context of all others stays as it is."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    original = RuntimeTaskInstance.get_template_context
    if getattr(original, "__wrapped__", None) is not None:
        return

    @functools.wraps(original)
    def get_template_context(self: Any) -> Any:
        context = original(self)
        if KEY not in context and (events := made_by(context)) is not None:
            context[KEY] = events
        return context

    RuntimeTaskInstance.get_template_context = get_template_context


def made_by(context: Any) -> list[Any] | None:
    """Return the events behind the run, or ``None`` if none made it."""
    run = context.get("dag_run")
    conf = getattr(run, "conf", None)
    events = conf.get(KEY) if isinstance(conf, dict) else None
    return events if isinstance(events, list) else None
