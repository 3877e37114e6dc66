"""The load of the chaos test: Dags of several kinds, whose tasks note when they begin and when they end."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, get_current_context, task

from slipstream import Event, EventSchedule

NOTES = os.environ["CHAOS_NOTES"]
FROM = datetime.fromisoformat(os.environ["CHAOS_FROM"])
UNTIL = datetime.fromisoformat(os.environ["CHAOS_UNTIL"])
CRON = datetime.fromisoformat(os.environ["CHAOS_CRON"])
EVERY = timedelta(seconds=float(os.environ["CHAOS_EVERY"]))
ARGS = {"retries": 50, "retry_delay": timedelta(seconds=0.5)}


def note(word: str) -> None:
    """One short line, written at once: lines of several processes do not mix."""
    ti = get_current_context()["ti"]
    with open(NOTES, "a") as notes:
        notes.write(f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index} {ti.try_number} {word}\n")


@task
def work(_=None):
    note("begin")
    note("end")


@task
def numbers():
    note("begin")
    note("end")
    return [1, 2]


@task
def fail_first():
    note("begin")
    if get_current_context()["ti"].try_number < 2:
        raise ValueError("the first try fails")
    note("end")


class Deferred(BaseOperator):
    def execute(self, context):
        note("begin")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context, event=None):
        note("end")


def scheduled(name: str, every: timedelta | str = EVERY, start: datetime = FROM) -> DAG:
    return DAG(name, schedule=every, start_date=start, end_date=UNTIL, catchup=True, max_active_runs=8,
               is_paused_upon_creation=False, default_args=ARGS)


with scheduled("chain"):
    work.override(task_id="one")() >> work.override(task_id="two", pool="narrow")()

with scheduled("minutely", "* * * * *", CRON):
    work()

with scheduled("mapped", 2 * EVERY):
    work.override(task_id="join")(work.override(pool="narrow").expand(_=numbers()))

with scheduled("retried", 2 * EVERY):
    fail_first()

with scheduled("deferred", 2 * EVERY):
    Deferred(task_id="wait")

with DAG("on_event", schedule=EventSchedule(Event("chaos")), max_active_runs=32, is_paused_upon_creation=False, default_args=ARGS):
    work()

with DAG("by_hand", schedule=None, is_paused_upon_creation=False, default_args=ARGS):
    work()
