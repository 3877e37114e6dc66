from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate
CASE = {
    "about": "clear past and future, mark with past/future/upstream/downstream over three scheduled runs",
    "actions": [
        {"wait": {"count": 3}},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task_ids": ["b"], "include_future": True, "include_downstream": True}},
        {"wait": "runs"},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task_ids": ["c"], "include_past": True, "include_upstream": True}},
        {"wait": "runs"},
        {"patch_ti": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task": "b", "state": "failed", "include_future": True, "include_past": True}},
        {"states": {"after": 4}},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "only_failed": True, "include_downstream": True, "task_ids": ["b"]}},
        {"wait": "runs"},
        {"clear": {"run": "scheduled__2024-01-01T00:00:00+00:00", "task_ids": ["a"], "reset_dag_runs": False}},
        {"states": {"after": 5}},
        {"patch_run": {"run": "scheduled__2024-01-01T00:00:00+00:00", "state": "queued"}},
        {"states": {"after": 5}},
    ],
}
with DAG("mark_past_future", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 3), catchup=True):
    @task
    def b():
        pass
    EmptyOperator(task_id="a") >> b() >> EmptyOperator(task_id="c")
