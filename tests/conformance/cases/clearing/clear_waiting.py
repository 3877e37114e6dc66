from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, task
from conformance_witness import gate, is_open
CASE = {
    "about": "a run is cleared while queued/deferred/retrying; only_failed run clear; mark a deferred task; mapped instance cleared; delete a finished run and its id again",
    "dags": ["clear_waiting"],
    "actions": [
        {"trigger": {"run": "r1"}},
        {"wait_ti": {"task": "d", "state": "deferred"}},
        {"wait_ti": {"task": "m", "map_index": 1, "state": "failed"}},
        {"patch_ti": {"task": "d", "state": "success"}},
        {"wait": "runs"},
        {"touch": "ok"},
        {"clear_run": {"run": "r1", "only_failed": True}},
        {"wait": "runs"},
        {"clear": {"run": "r1", "task_ids": [["m", 0]], "include_downstream": True}},
        {"wait": "runs"},
        {"delete_run": {"run": "r1"}},
        {"trigger": {"run": "r1", "conf": {"second": 1}}},
        {"wait_ti": {"task": "d", "state": "deferred"}},
        {"clear": {"run": "r1", "task_ids": ["d"]}},
        {"wait_ti": {"task": "d", "state": "deferred", "try": 2}},
        {"patch_run": {"run": "r1", "state": "success"}},
        {"sleep": 4},
    ],
    "state_mismatch": True,
}
with DAG("clear_waiting", schedule=None):
    d = DateTimeSensorAsync(task_id="d", target_time="2200-01-01T00:00:00+00:00")
    @task
    def m(x):
        if x == 2 and not is_open("clear_waiting", "ok"):
            raise ValueError("x")
    m.expand(x=[1, 2, 3]) >> EmptyOperator(task_id="after")
