from datetime import datetime, timedelta
from airflow.sdk import DAG, task, DeadlineAlert, DeadlineReference, SyncCallback, Asset, CronPartitionTimetable
from airflow.providers.standard.operators.empty import EmptyOperator
from conformance_witness import gate, say, context_facts
from conformance_callbacks import tell_sync
CASE = {
    "about": "a backfill with callbacks, outlets, deadlines, a dagrun_timeout, a limit above the Dag's; a failed backfill run is cleared after completion; in flight marked",
    "dags": ["backfill_extras__a", "backfill_extras__c", "backfill_extras__limit", "backfill_extras__part"],
    "actions": [
        {"backfill": {"dag": "backfill_extras__limit", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-04T00:00:00Z", "max_active_runs": 3}},
        {"wait_sql": {"sql": "select count(*) from task_instance where dag_id='backfill_extras__limit' and state='running'", "equals": 3}},
        {"states": {"after": 3}},
        {"patch_run": {"dag": "backfill_extras__limit", "run": "backfill__2024-05-01T00:00:00+00:00", "state": "failed"}},
        {"wait_ti": {"dag": "backfill_extras__limit", "run": "backfill__2024-05-04T00:00:00+00:00", "task": "t", "state": "running"}},
        {"touch": "go"},
        {"backfill": {"dag": "backfill_extras__a", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z", "max_active_runs": 1}},
        {"wait": {"dag": "backfill_extras__a", "count": 2}},
        {"backfill": {"dag": "backfill_extras__part", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z"}},
        {"wait": {"dag": "backfill_extras__part", "count": 2}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id like 'backfill_extras%' and completed_at is not null", "equals": 3}},
        {"clear_run": {"dag": "backfill_extras__a", "run": "backfill__2024-05-01T00:00:00+00:00"}},
        {"wait": {"dag": "backfill_extras__c", "count": 3}},
        {"wait": "runs"},
        {"sleep": 4},
    ],
    "state_mismatch": True,
}
def cb(context):
    say("backfill_extras", "cb " + context_facts(context))
x = Asset("backfill_extras_x")
N = dict(start_date=datetime(2024, 1, 1), end_date=datetime(2024, 6, 1), catchup=False)
with DAG("backfill_extras__a", schedule="@daily", on_success_callback=cb, on_failure_callback=cb, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_LOGICAL_DATE, interval=timedelta(hours=1), callback=SyncCallback(tell_sync, {"case": "backfill_extras"})), **N):
    @task(outlets=[x])
    def t():
        import time
        time.sleep(7)
    t()
with DAG("backfill_extras__c", schedule=[x]):
    EmptyOperator(task_id="t")
with DAG("backfill_extras__limit", schedule="@daily", max_active_runs=1, **N):
    @task
    def t():
        gate("backfill_extras")
    t()
with DAG("backfill_extras__part", schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"), **N):
    EmptyOperator(task_id="t")
