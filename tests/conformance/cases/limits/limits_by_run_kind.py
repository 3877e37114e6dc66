from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate
# More tasks run at once than the suite lets run on SQLite.
CASE = {"db": ["postgres"],
    "about": "manual runs beside a catchup and a backfill, each with its limit",
    "actions": [
        {"wait_sql": {"sql": "select count(*) from task_instance where dag_id='limits_by_run_kind' and state='running'", "equals": 2}},
        {"trigger": {"run": "m1"}},
        {"backfill": {"from_date": "2023-05-01T00:00:00Z", "to_date": "2023-05-03T00:00:00Z", "max_active_runs": 1}},
        {"states": {"after": 5}},
        {"note": {"sql_name": "exceeds", "sql": "select exceeds_max_non_backfill from dag where dag_id='limits_by_run_kind'"}},
        {"touch": "go"},
        {"wait": {"count": 8}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='limits_by_run_kind' and completed_at is not null", "equals": 1}},
    ],
}
with DAG("limits_by_run_kind", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), catchup=True, max_active_runs=2):
    @task
    def t():
        gate("limits_by_run_kind")
    t()
