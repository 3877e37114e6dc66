from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from conformance_witness import say, gate
CASE = {
    "about": "a backfill is paused, goes on, and another is cancelled",
    "dags": ["backfill_pause__a", "backfill_pause__b"],
    "actions": [
        {"backfill": {"dag": "backfill_pause__a", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z", "max_active_runs": 1}},
        {"wait_ti": {"dag": "backfill_pause__a", "run": "backfill__2024-05-01T00:00:00+00:00", "task": "t", "state": "running"}},
        {"backfill_op": "pause"},
        {"touch": "backfill_pause__a"},
        {"wait": {"dag": "backfill_pause__a", "count": 1}},
        {"states": {"after": 5}},
        {"backfill_op": "unpause"},
        {"wait": {"dag": "backfill_pause__a", "count": 3}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_pause__a' and completed_at is not null", "equals": 1}},
        {"backfill": {"dag": "backfill_pause__b", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z", "max_active_runs": 1}},
        {"wait_ti": {"dag": "backfill_pause__b", "run": "backfill__2024-05-01T00:00:00+00:00", "task": "t", "state": "running"}},
        {"backfill_op": "cancel"},
        {"states": {"after": 3}},
        {"touch": "backfill_pause__b"},
        {"wait": "runs"},
    ],
}
for n in "ab":
    with DAG(f"backfill_pause__{n}", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 6, 1), catchup=False):
        @task
        def t(dag=None):
            gate("backfill_pause", dag.dag_id)
        t()
