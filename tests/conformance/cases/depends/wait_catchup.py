from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
CASE = {
    "about": "wait_for_downstream and depends_on_past in a catchup with one failure, ignore_first_depends_on_past; backfill_ paused Dag",
    "actions": [{"wait": {"count": 2}}, {"states": {"after": 5}}, {"patch_ti": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task": "u", "state": "success"}}, {"patch_run": {"run": "scheduled__2024-01-02T00:00:00+00:00", "state": "success"}}, {"wait": {"count": 4}}],
}
with DAG("wait_catchup", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), catchup=True, max_active_runs=2, default_args={"wait_for_downstream": True}):
    @task
    def u(logical_date=None):
        if logical_date.day == 2:
            raise ValueError("x")
    EmptyOperator(task_id="t") >> u()
