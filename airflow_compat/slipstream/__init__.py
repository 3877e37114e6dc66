"""Event triggers for Dag files: what starts, stops and restarts Dags and tasks when events arrive.

Slipstream, a scheduler that takes the place of ``airflow scheduler``, acts on what this package attaches to a Dag. Under
Airflow's own scheduler the same file loads and runs, and triggers do nothing.

Importing the package imports nothing of Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipstream.conditions import AssetUpdate, Condition, Event, RunState, TaskState, Tick, none_for, sequence
from slipstream.data import by_data
from slipstream.tasks import periodic, restart_on, start_on, stop_on, stop_run_on, streaming

if TYPE_CHECKING:
    from slipstream.schedule import EventSchedule

__all__ = [
    "AssetUpdate",
    "Condition",
    "Event",
    "EventSchedule",
    "RunState",
    "TaskState",
    "Tick",
    "by_data",
    "none_for",
    "periodic",
    "restart_on",
    "sequence",
    "start_on",
    "stop_on",
    "stop_run_on",
    "streaming",
]


def __getattr__(name: str) -> Any:
    # `EventSchedule` is a timetable, so it needs Airflow; `slipstream.events` alone should not.
    if name == "EventSchedule":
        from slipstream.schedule import EventSchedule

        return EventSchedule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
