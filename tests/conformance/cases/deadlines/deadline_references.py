from datetime import datetime, timedelta
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, task
from conformance_callbacks import tell, tell_sync, boom, boom_sync
from conformance_witness import gate
CASE = {
    "about": "deadlines of every reference, several in one Dag, callbacks that fail, a kept deadline pruned at success, average runtime without history",
    "db": ["postgres"],  # more tasks at once than there are on SQLite
    "dags": ["deadline_references__logical", "deadline_references__many", "deadline_references__average", "deadline_references__boom", "deadline_references__sched", "deadline_references__bf"],
    "unpause": ["deadline_references__logical", "deadline_references__many", "deadline_references__average", "deadline_references__boom", "deadline_references__sched"],
    "actions": [
        {"trigger": {"dag": "deadline_references__logical", "run": "dated", "logical_date": "2024-01-01T00:00:00Z"}},
        {"trigger": {"dag": "deadline_references__logical", "run": "undated"}},
        {"trigger": {"dag": "deadline_references__many"}},
        {"trigger": {"dag": "deadline_references__average", "run": "a1"}},
        {"trigger": {"dag": "deadline_references__boom"}},
        {"wait": {"dag": "deadline_references__average", "run": "a1"}},
        {"trigger": {"dag": "deadline_references__average", "run": "a2"}},
        {"wait": {"dag": "deadline_references__average", "run": "a2"}},
        {"trigger": {"dag": "deadline_references__average", "run": "a3", "conf": {"hold": 1}}},
        {"wait": {"dag": "deadline_references__sched", "count": 2}},
        {"witness": {"has": "average"}},
        {"witness": {"lines": 8}},
        {"touch": "go"},
        {"wait": "runs"},
        {"sleep": 3},
    ],
}
R = DeadlineReference
def D(ref, secs, cb, name=None):
    return DeadlineAlert(reference=ref, interval=timedelta(seconds=secs), callback=cb, name=name)
def dag(name, deadline, **kw):
    with DAG(f"deadline_references__{name}", deadline=deadline, **{"schedule": None, **kw}):
        @task
        def t(dag_run=None):
            if "average" not in dag_run.dag_id or (dag_run.conf or {}).get("hold"):
                gate("deadline_references")
        t()
dag("logical", D(R.DAGRUN_LOGICAL_DATE, 60, AsyncCallback(tell, {"case": "deadline_references", "text": "logical {{ dag_run.run_id }}"}), name="named"))
dag("many", [D(R.DAGRUN_QUEUED_AT, 1, SyncCallback(tell_sync, {"case": "deadline_references", "text": "many1"}), "one"), D(R.DAGRUN_QUEUED_AT, 2, AsyncCallback(tell, {"case": "deadline_references", "text": "many2"}), "two"), D(R.FIXED_DATETIME(datetime(2199, 1, 1)), -60, SyncCallback(tell_sync, {"case": "deadline_references", "text": "never"}))])
dag("average", D(R.AVERAGE_RUNTIME(max_runs=2), 2, AsyncCallback(tell, {"case": "deadline_references", "text": "average"})))
dag("boom", [D(R.DAGRUN_QUEUED_AT, 1, SyncCallback(boom_sync, {"case": "deadline_references"})), D(R.DAGRUN_QUEUED_AT, 1, AsyncCallback(boom, {"case": "deadline_references"}))])
with DAG("deadline_references__sched", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2), catchup=True, max_active_runs=1, deadline=D(R.DAGRUN_LOGICAL_DATE, 3600, SyncCallback(tell_sync, {"case": "deadline_references", "text": "sched"}))):
    @task
    def s():
        import time
        time.sleep(8)
    s()
dag("bf", D(R.DAGRUN_LOGICAL_DATE, 3600, SyncCallback(tell_sync, {"case": "deadline_references", "text": "bf"})), schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False)
