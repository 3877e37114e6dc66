import os

from airflow.sdk import DAG, task

CASE = {
    "about": "a listener hears of a task that ended without a word, whose failure is the scheduler's",
    "batch": "plugins",
    "actions": [{"trigger": {}}, {"wait": "runs"}, {"sleep": 3}],
    "state_mismatch": True,
}

with DAG("listener_lost", schedule=None):

    @task
    def silent():
        os._exit(0)

    silent()
