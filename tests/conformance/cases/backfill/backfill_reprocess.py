from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from conformance_witness import say
CASE = {
    "about": "backfills over existing runs: none, failed, completed",
    "actions": [
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z", "dag_run_conf": {"f": 1}}},
        {"wait": {"count": 2}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_reprocess' and completed_at is not null", "equals": 1}},
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z"}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_reprocess' and completed_at is not null", "equals": 2}},
        {"states": {}},
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z", "reprocess_behavior": "failed", "dag_run_conf": {"g": 2}}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_reprocess' and completed_at is not null", "equals": 3}},
        {"states": {}},
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-04T00:00:00Z", "reprocess_behavior": "completed", "max_active_runs": 2}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_reprocess' and completed_at is not null", "equals": 4}},
        {"wait": "runs"},
    ],
}
with DAG("backfill_reprocess", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 6, 1), catchup=False):
    @task
    def t(dag_run=None, logical_date=None):
        if dag_run.conf.get("f") and logical_date.day == 1:
            raise ValueError("x")
        return dag_run.conf
    t()
