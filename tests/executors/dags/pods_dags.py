"""Dags for the test with a Kubernetes executor."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, is_paused_upon_creation=False)
def pods():
    @task
    def good():
        return 7

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def second_time_lucky(x):
        # The whole pod fails at the first try: nobody reports the end of the task.
        if get_current_context()["ti"].try_number == 1:
            os.kill(os.getppid(), 9)
            time.sleep(600)
        assert x == 7

    second_time_lucky(good())


@dag(schedule=None, is_paused_upon_creation=False)
def long_pod():
    @task(retries=1)
    def sleep():
        folder = Path(os.environ["NOTES"])
        with (folder / "notes").open("a") as notes:
            notes.write("start\n")
        while not (folder / "go").exists():
            time.sleep(0.2)

    sleep()


pods()
long_pod()
