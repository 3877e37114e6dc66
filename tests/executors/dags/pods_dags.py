"""Dags for the test with a Kubernetes executor."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task


def end_the_pod():
    """End the supervisor, which is the pod's command, and this process: nobody reports the end of the task."""
    os.kill(os.getppid(), 9)
    os._exit(1)


@dag(schedule=None, is_paused_upon_creation=False)
def pods():
    @task
    def good():
        return 7

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def second_time_lucky(x):
        # The whole pod fails at the first try.
        if get_current_context()["ti"].try_number == 1:
            end_the_pod()
        assert x == 7

    second_time_lucky(good())


@dag(schedule=None, is_paused_upon_creation=False)
def long_pod():
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def sleep():
        folder = Path(os.environ["NOTES"])
        with (folder / "notes").open("a") as notes:
            notes.write("start\n")
        if get_current_context()["ti"].try_number > 1:
            return
        while not (folder / "go").exists():
            if (folder / "die").exists():
                end_the_pod()
            time.sleep(0.2)

    sleep()


pods()
long_pod()
