from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
CASE = {
    "about": "start and end dates of tasks in and outside those of the Dag",
    "dags": ["task_dates__later", "task_dates__end"],
    "actions": [
        {"wait": {"dag": "task_dates__later", "count": 6}},
        {"wait": {"dag": "task_dates__end", "count": 4}},
        {"states": {"after": 4}},
    ],
}
N = dict(catchup=True, max_active_runs=16)
with DAG("task_dates__later", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 6), **N):
    a = EmptyOperator(task_id="a", start_date=datetime(2024, 1, 3))
    b = EmptyOperator(task_id="b", start_date=datetime(2024, 1, 5))
    a >> b
with DAG("task_dates__end", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), **N):
    a = EmptyOperator(task_id="a", end_date=datetime(2024, 1, 2))
    b = EmptyOperator(task_id="b", start_date=datetime(2024, 1, 2), end_date=datetime(2024, 1, 3))
    c = EmptyOperator(task_id="c", end_date=datetime(2024, 1, 30))
    [a, b] >> c
