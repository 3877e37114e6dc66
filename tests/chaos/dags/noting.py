"""What the files of the load share: when each Dag is due, and tasks that note when they begin and when they end."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta

from airflow.sdk import DAG, get_current_context, task

NOTES = os.environ["CHAOS_NOTES"]
FROM = datetime.fromisoformat(os.environ["CHAOS_FROM"])
UNTIL = datetime.fromisoformat(os.environ["CHAOS_UNTIL"])
CRON = datetime.fromisoformat(os.environ["CHAOS_CRON"])
EVERY = timedelta(seconds=float(os.environ["CHAOS_EVERY"]))
PAUSE = float(os.environ.get("CHAOS_PAUSE", "0"))
"""Seconds that a task takes."""
ARGS = {"retries": 50, "retry_delay": timedelta(seconds=0.5)}


def note(word: str) -> None:
    """One short line, written at once: lines of several processes do not mix."""
    ti = get_current_context()["ti"]
    with open(NOTES, "a") as notes:
        notes.write(f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index} {ti.try_number} {word}\n")


@task
def work(_=None, pause: float = PAUSE):
    note("begin")
    time.sleep(pause)
    note("end")


def scheduled(name: str, every: timedelta | str = EVERY, start: datetime = FROM, **args) -> DAG:
    return DAG(name, schedule=every, start_date=start, end_date=UNTIL, catchup=True, is_paused_upon_creation=False,
               default_args=ARGS, **{"max_active_runs": 8, **args})
