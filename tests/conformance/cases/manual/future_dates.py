from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
CASE = {
    "about": "logical dates in the future, run_after by the operator, a run of a task that starts later or has ended, manual runs of @once and of an ended Dag",
    "dags": ["future_dates", "future_dates__daily", "future_dates__tasks", "future_dates__op"],
    "actions": [
        {"trigger": {"run": "f", "logical_date": "2199-01-01T00:00:00Z"}},
        {"trigger": {"dag": "future_dates__daily", "run": "f", "logical_date": "2199-01-01T00:00:00Z"}},
        {"trigger": {"dag": "future_dates__daily", "run": "old", "logical_date": "2001-01-01T00:00:00Z"}},
        {"trigger": {"dag": "future_dates__tasks", "run": "early", "logical_date": "2023-01-01T00:00:00Z"}},
        {"trigger": {"dag": "future_dates__tasks", "run": "late", "logical_date": "2024-06-01T00:00:00Z"}},
        {"trigger": {"dag": "future_dates__tasks", "run": "none"}},
        {"trigger": {"dag": "future_dates__op", "run": "o"}},
        {"wait": {"dag": "future_dates__tasks", "count": 3}},
        {"states": {"after": 8}},
    ],
    "mask": {"run_order|future_dates": "two tasks trigger them side by side"},
}
with DAG("future_dates", schedule=None):
    EmptyOperator(task_id="t")
with DAG("future_dates__daily", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 1), catchup=False):
    EmptyOperator(task_id="t")
with DAG("future_dates__tasks", schedule=None, start_date=datetime(2024, 1, 1), end_date=datetime(2024, 12, 1)):
    a = EmptyOperator(task_id="a", start_date=datetime(2024, 3, 1))
    b = EmptyOperator(task_id="b", end_date=datetime(2024, 5, 1))
    @task
    def c(): pass
    [a, b] >> c()
with DAG("future_dates__op", schedule=None):
    TriggerDagRunOperator(task_id="x", trigger_dag_id="future_dates", trigger_run_id="by_op", run_after="2199-05-05T00:00:00+00:00")
    TriggerDagRunOperator(task_id="y", trigger_dag_id="future_dates", trigger_run_id="by_op2", logical_date="2024-05-05T00:00:00+00:00", conf={"a": "{{ run_id }}"})
    TriggerDagRunOperator(task_id="z", trigger_dag_id="future_dates__daily", logical_date="2024-01-05T00:00:00+00:00")
