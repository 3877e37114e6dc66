from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
CASE = {
    "about": "@once with a start date, without one, then a manual run; @once unpaused twice",
    "dags": ["once_runs__dated", "once_runs__past_end"],
    "actions": [
        {"wait": {"dag": "once_runs__dated", "count": 1}},
        {"trigger": {"dag": "once_runs__dated", "run": "m1", "logical_date": "2024-05-05T00:00:00Z"}},
        {"pause": "once_runs__dated"}, {"unpause": "once_runs__dated"}, {"states": {"after": 3}},
    ],
}
with DAG("once_runs__dated", schedule="@once", start_date=datetime(2024, 1, 1), catchup=False):
    EmptyOperator(task_id="t")
with DAG("once_runs__past_end", schedule="@once", start_date=datetime(2024, 1, 1), end_date=datetime(2023, 1, 1)):
    EmptyOperator(task_id="t")
