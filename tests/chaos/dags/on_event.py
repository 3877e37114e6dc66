"""The part of the load that only Slipstream can run: a Dag that runs for each event."""

from __future__ import annotations

from airflow.sdk import DAG
from noting import ARGS, work

from slipstream import Event, EventSchedule

with DAG("on_event", schedule=EventSchedule(Event("chaos")), max_active_runs=32, is_paused_upon_creation=False, default_args=ARGS):
    work()
