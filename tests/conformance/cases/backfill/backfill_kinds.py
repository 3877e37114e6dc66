from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, task
from conformance_witness import gate

CASE = {
    "about": "backfills that are dry, of runs that run, of a Dag that is not there, has no schedule or another backfill, over dates without runs, with a conf that does not fit; cancelled with runs queued and running, cleared afterwards; a Dag without catchup",
    "dags": ["backfill_kinds", "backfill_kinds__none", "backfill_kinds__trigger"],
    "db": ["postgres"],
    "actions": [
        {"rest": {"method": "POST", "path": "/backfills/dry_run", "body": {"dag_id": "backfill_kinds", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z"}}},
        {"backfill": {"dag": "backfill_kinds__none", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z", "expect": 422}},
        {"backfill": {"dag": "backfill_kinds_nowhere", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z", "expect": 404}},
        {"backfill": {"from_date": "2024-05-02T00:00:00Z", "to_date": "2024-05-01T00:00:00Z", "expect": 422}},
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-04T00:00:00Z", "max_active_runs": 2, "run_backwards": True, "dag_run_conf": {"k": [1]}}},
        {"wait_sql": {"sql": "select count(*) from task_instance where dag_id='backfill_kinds' and state='running'", "equals": 2}},
        {"backfill": {"from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-04T00:00:00Z", "expect": 409}},
        {"states": {"after": 2}},
        {"backfill_op": "cancel"},
        {"states": {"after": 2}},
        {"touch": "go"},
        {"wait": {"count": 4}},
        {"clear_run": {"run": "backfill__2024-05-01T00:00:00+00:00"}},
        {"states": {"after": 4}},
        {"backfill": {"dag": "backfill_kinds__trigger", "from_date": "2024-05-01T01:00:00Z", "to_date": "2024-05-01T23:00:00Z", "run_on_latest_version": True}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_kinds__trigger' and completed_at is not null", "equals": 1}},
        {"backfill": {"dag": "backfill_kinds__trigger", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T12:00:00Z", "run_backwards": True, "max_active_runs": 1}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id='backfill_kinds__trigger' and completed_at is not null", "equals": 2}},
        {"wait": {"dag": "backfill_kinds__trigger", "count": 3}},
    ],
    "state_mismatch": True,
    "limit": 200,
}

N = {"start_date": datetime(2024, 1, 1), "end_date": datetime(2024, 6, 1), "catchup": False}
with DAG("backfill_kinds", schedule="@daily", **N):

    @task
    def t(dag_run=None):
        gate("backfill_kinds")
        return dag_run.conf

    t() >> EmptyOperator(task_id="behind")

with DAG("backfill_kinds__none", schedule=None):
    EmptyOperator(task_id="t")

with DAG("backfill_kinds__trigger", schedule=CronTriggerTimetable("0 12 * * *", timezone="Europe/Berlin", interval=timedelta(hours=6)), **N):

    @task
    def t(ti=None, data_interval_start=None, data_interval_end=None, prev_data_interval_start_success=None):
        return [str(data_interval_start), str(data_interval_end), str(prev_data_interval_start_success)]

    t()
