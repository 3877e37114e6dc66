"""Dags of many kinds of decisions, for the comparison with a stock scheduler."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, Asset, get_current_context, task, task_group

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
LAST = datetime(2026, 1, 6, tzinfo=timezone.utc)
NUMBERS = Asset("shadow_numbers")
GATE = Path(__file__).resolve().parent / "gate"


@task
def work(_=None):
    time.sleep(0.2)


@task
def fail():
    raise ValueError("as planned")


@task
def numbers():
    return [1, 2, 3]


with DAG("branching", schedule=None):

    @task.branch
    def choose():
        return "left"

    @task.short_circuit
    def stop():
        return False

    left, right = work.override(task_id="left")(), work.override(task_id="right")()
    below = work.override(task_id="below_right")()
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    after = stop()
    choose() >> [left, right]
    right >> below >> join
    left >> join >> after >> work.override(task_id="never")() >> EmptyOperator(task_id="never_again")

with DAG("mapping", schedule=None):

    @task_group
    def group(number):
        work.override(task_id="second")(work.override(task_id="first")(number))

    @task
    def total(_):
        pass

    several = numbers()
    total(work.override(task_id="each").expand(_=several))
    group.expand(number=several)
    work.override(task_id="literal").expand(_=[1, 2])

    @task
    def nothing():
        return []

    work.override(task_id="of_nothing").expand(_=nothing()) >> EmptyOperator(task_id="after_nothing")

with DAG("trigger_rules", schedule=None):
    good, bad = work(), fail.override(retries=1, retry_delay=timedelta(seconds=1))()
    for rule in ("all_success", "all_failed", "all_done", "one_success", "one_failed", "one_done", "none_failed",
                 "none_skipped", "all_done_min_one_success", "always"):
        [good, bad] >> EmptyOperator(task_id=rule, trigger_rule=rule) >> work.override(task_id=f"after_{rule}")()

with DAG("setup_and_teardown", schedule=None):
    begin = work.override(task_id="begin")().as_setup()
    end = work.override(task_id="end")().as_teardown(setups=begin)
    begin >> fail.override(task_id="inside")() >> end

with DAG("past", schedule="@daily", start_date=FIRST, end_date=LAST, catchup=True, max_active_runs=2):
    work.override(task_id="one", depends_on_past=True)() >> EmptyOperator(task_id="two") >> BashOperator(
        task_id="three", bash_command="true"
    )

with DAG("hours", schedule=timedelta(hours=12), start_date=FIRST, end_date=LAST, catchup=True, max_active_runs=3):
    EmptyOperator(task_id="one") >> EmptyOperator(task_id="two") >> EmptyOperator(task_id="three")

with DAG("newest", schedule="*/5 * * * *", start_date=FIRST, catchup=False, max_active_runs=1):
    work()

with DAG("producer", schedule=None):
    BashOperator(task_id="make", bash_command="true", outlets=[NUMBERS])

with DAG("consumer", schedule=[NUMBERS]):
    work()

with DAG("sensing", schedule=None):

    def second_look():
        return get_current_context()["dag_run"].start_date < datetime.now(timezone.utc) - timedelta(seconds=3)

    PythonSensor(task_id="look", python_callable=second_look, mode="reschedule", poke_interval=1) >> work()

with DAG("too_long", schedule=None, dagrun_timeout=timedelta(seconds=4)):
    BashOperator(task_id="sleep", bash_command="sleep 15") >> work()

with DAG("failing_fast", schedule=None, fail_fast=True):
    slow = work()
    [fail(), slow] >> work.override(task_id="later")()

with DAG("gated", schedule=None):
    PythonSensor(task_id="wait", python_callable=GATE.exists, mode="poke", poke_interval=0.5) >> [
        work.override(task_id="forged")(),
        work.override(task_id="honest")(),
    ]
