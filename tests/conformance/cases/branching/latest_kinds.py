from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

CASE = {
    "about": "latest only by the kind of run: scheduled, of a backfill, by hand with a date and without, by a task, of an asset; by schedules of every kind",
    "dags": ["latest_kinds", "latest_kinds__delta", "latest_kinds__trigger"],
    "actions": [
        {"wait": {"count": 2}},
        {"wait": {"dag": "latest_kinds__delta", "count": 2}},
        {"trigger": {"run": "dated", "logical_date": "2023-06-01T00:00:00Z"}},
        {"trigger": {"run": "none"}},
        {"trigger": {"dag": "latest_kinds__trigger"}},
        {"wait": {"run": "by_task"}},
        {"wait": {"count": 5}},
        {"wait": "runs"},
    ],
}

PAST = {"start_date": datetime(2024, 1, 1), "end_date": datetime(2024, 1, 2), "catchup": True}
for name, schedule, dates in (
    ("latest_kinds", "@daily", {"start_date": datetime(2024, 1, 1), "end_date": datetime(2024, 1, 2), "catchup": True}),
    ("latest_kinds__delta", timedelta(days=1), PAST),
):
    with DAG(name, schedule=schedule, **dates):
        LatestOnlyOperator(task_id="latest") >> EmptyOperator(task_id="a") >> EmptyOperator(task_id="always", trigger_rule="all_done")

with DAG("latest_kinds__trigger", schedule=None):
    TriggerDagRunOperator(task_id="t", trigger_dag_id="latest_kinds", trigger_run_id="by_task", logical_date="2023-07-01T00:00:00+00:00")
