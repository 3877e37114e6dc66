from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, is_open

CASE = {
    "about": "clearing by dates, past, only running, with notes, refused while a task runs, of a queued run, of what is not there, dry; runs with only_new",
    "actions": [
        {"wait": {"count": 3}},
        {"clear": {"run": None, "task_ids": ["a"], "start_date": "2024-01-02T00:00:00Z", "end_date": "2024-01-03T00:00:00Z", "note": "by dates"}},
        {"wait": "runs"},
        {"clear": {"run": "scheduled__2024-01-03T00:00:00+00:00", "task_ids": ["b"], "include_past": True, "include_upstream": True}},
        {"wait": "runs"},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "task_ids": ["nowhere"], "expect": 404}},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "dry_run": True}},
        {"clear": {"run": "nowhere", "expect": 404}},
        {"states": {}},
        {"touch": "hold"},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task_ids": ["a"]}},
        {"wait_ti": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task": "a", "state": "running"}},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task_ids": ["a"], "prevent_running_task": True, "expect": 409}},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "only_running": True, "note": "again"}},
        {"wait_ti": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task": "a", "state": "running", "try": 5}},
        {"touch": "go"},
        {"wait": "runs"},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "only_failed": True, "reset_dag_runs": False, "include_future": True}},
        {"states": {"after": 2}},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "task_ids": ["d"], "include_upstream": True, "only_failed": True}},
        {"wait": "runs"},
    ],
    "state_mismatch": True,
    "limit": 250,
}

with DAG("clear_options", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 3), catchup=True):

    @task
    def a():
        if is_open("clear_options", "hold") and not is_open("clear_options", "go"):
            gate("clear_options", "go")

    @task
    def c():
        raise ValueError("always")

    a() >> EmptyOperator(task_id="b") >> EmptyOperator(task_id="e")
    c() >> EmptyOperator(task_id="d")
