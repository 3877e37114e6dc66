from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
CASE = {
    "about": "manual runs of a scheduled Dag: dates, notes, partition keys, run_after in the future, bad conf, generated ids",
    "actions": [
        {"wait": {"count": 1}},
        {"trigger": {"run": "d1", "logical_date": "2024-03-04T05:06:07Z", "note": "a note", "conf": {"a": [1, {"b": None}]}}},
        {"trigger": {"run": "later", "run_after": "2199-01-01T00:00:00Z"}},
        {"trigger": {"run": "earlier", "run_after": "2020-01-01T00:00:00Z"}},
        {"trigger": {"run": "scheduled__2024-01-01T00:00:00+00:00", "expect": 400}},
        {"trigger": {"run": "di", "logical_date": "2024-03-05T05:06:07Z", "data_interval_start": "2024-03-01T00:00:00Z", "expect": 422}},
        {"rest": {"method": "POST", "path": "/dags/manual_dates/dagRuns", "body": {"logical_date": "2024-07-01T00:00:00Z"}}},
        {"wait": {"count": 4}},
        {"states": {}},
    ],
}
with DAG("manual_dates", schedule="0 3 * * 1", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 7), catchup=True):
    @task
    def t(dag_run=None, data_interval_start=None, data_interval_end=None):
        return [dag_run.conf, str(data_interval_start), str(data_interval_end), dag_run.note, dag_run.partition_key]
    t()
