from datetime import datetime, timedelta
from airflow.sdk import DAG, SyncCallback, DeadlineAlert, DeadlineReference, task, AsyncCallback
from conformance_callbacks import tell, tell_sync
from conformance_witness import gate
CASE = {
    "about": "deadline after clear; deadline of a run marked failed; a deadline alert that changes in a new version; queued runs behind a limit",
    "dags": ["deadline_changes", "deadline_changes__queue"],
    "actions": [
        {"trigger": {"dag": "deadline_changes__queue", "run": "q1"}}, {"wait_ti": {"dag": "deadline_changes__queue", "run": "q1", "task": "t", "state": "running"}},
        {"trigger": {"dag": "deadline_changes__queue", "run": "q2"}},
        {"witness": {"lines": 2}},
        {"touch": "go"},
        {"wait": {"dag": "deadline_changes__queue", "count": 2}},
        {"trigger": {"run": "r1"}}, {"wait": {"run": "r1"}},
        {"clear": {"run": "r1"}}, {"wait": {"run": "r1"}},
        {"replace": {"old": "HOURS = 1", "new": "HOURS = 2"}}, {"sleep": 15},
        {"trigger": {"run": "r2"}}, {"wait": {"run": "r2"}},
        {"sleep": 3},
    ],
}
HOURS = 1
with DAG("deadline_changes", schedule=None, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=HOURS), callback=AsyncCallback(tell, {"case": "deadline_changes"}))):
    @task
    def t():
        pass
    t()
with DAG("deadline_changes__queue", schedule=None, max_active_runs=1, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(seconds=2), callback=SyncCallback(tell_sync, {"case": "deadline_changes", "text": "{{ dag_run.run_id }}"}), name="late")):
    @task
    def t():
        gate("deadline_changes")
    t()
