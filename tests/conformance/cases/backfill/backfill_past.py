from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from conformance_witness import say, gate
CASE = {
    "about": "a backfill with depends_on_past stops at a failure and goes on when it is cleared",
    "actions": [
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z", "reprocess_behavior": "failed", "max_active_runs": 3}},
        {"wait": {"run": "backfill__2024-05-02T00:00:00+00:00", "state": "failed"}},
        {"states": {"after": 5}},
        {"touch": "ok"},
        {"clear": {"run": "backfill__2024-05-02T00:00:00+00:00", "task_ids": ["t"]}},
        {"wait": "runs"},
        {"states": {"after": 3}},
    ],
}
with DAG("backfill_past", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 6, 1), catchup=False):
    @task(depends_on_past=True)
    def t(logical_date=None):
        from conformance_witness import is_open
        if logical_date.day == 2 and not is_open("backfill_past", "ok"):
            raise ValueError("x")
    t()
