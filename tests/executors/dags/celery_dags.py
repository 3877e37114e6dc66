"""Dags for the tests with a Celery executor. ``slow`` notes every start and end of a try in a file of its own."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

NOTES = Path(os.environ["NOTES"])


def note(what: str) -> None:
    ti = get_current_context()["ti"]
    with (NOTES / "notes").open("a") as f:
        f.write(f"{what} {ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index} {ti.try_number}\n")


@dag(schedule=None, is_paused_upon_creation=False)
def flow():
    @task
    def numbers():
        return [1, 2, 3]

    @task
    def double(x):
        return 2 * x

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def second_time_lucky(xs):
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("the first try fails")
        return sum(xs)

    @task(executor="CeleryExecutor")
    def check(total):
        assert total == 12, total

    check(second_time_lucky(double.expand(x=numbers())))


@dag(schedule=None, is_paused_upon_creation=False, max_active_runs=16)
def slow():
    @task(retries=6, retry_delay=timedelta(seconds=3))
    def sleep(x):
        note("start")
        time.sleep(12)
        while (NOTES / "hold").exists():
            time.sleep(0.2)
        note("end")

    @task
    def after():
        note("end")

    sleep.expand(x=[1, 2, 3]) >> after()


flow()
slow()
