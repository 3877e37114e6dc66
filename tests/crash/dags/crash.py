"""Dags for the crash test: every task notes each of its executions, and every Dag makes a known set of runs."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, get_current_context, task

NOTES = os.environ["CRASH_NOTES"]
RUNS = int(os.environ["CRASH_RUNS"])
PAUSE = float(os.environ["CRASH_PAUSE"])
FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
LINE = "{{ ti.dag_id }} {{ ti.run_id }} {{ ti.task_id }} {{ ti.map_index }} {{ ti.try_number }}"


def note() -> None:
    """One short line, written at once: lines of several processes do not mix."""
    ti = get_current_context()["ti"]
    with open(NOTES, "a") as notes:
        notes.write(f"{ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index} {ti.try_number}\n")


@task
def work(_=None):
    note()
    time.sleep(PAUSE)


@task
def numbers():
    note()
    return [1, 2, 3]


@task(retries=1)
def fail():
    note()
    raise ValueError("as expected")


def dag(name: str, **args) -> DAG:
    return DAG(
        name,
        schedule=timedelta(minutes=1),
        start_date=FIRST,
        end_date=FIRST + timedelta(minutes=RUNS - 1),
        catchup=True,
        max_active_runs=4,
        is_paused_upon_creation=False,
        default_args={"retries": 30, "retry_delay": timedelta(seconds=0.2)},
        **args,
    )


with dag("chain"):
    work.override(task_id="one")() >> work.override(task_id="two")() >> work.override(task_id="three")()

with dag("mapped"):
    work.override(task_id="join")(work.expand(_=numbers()))

with dag("bash"):
    BashOperator(task_id="echo", bash_command=f"echo {LINE} >> {NOTES}; sleep {PAUSE}")

with dag("sensor"):
    ready = PythonSensor(
        task_id="ready", mode="reschedule", poke_interval=1, python_callable=lambda: int(time.time()) % 3 == 0
    )
    ready >> work.override(task_id="after")()

with dag("failing"):
    fail()
