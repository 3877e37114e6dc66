from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say
CASE = {
    "about": "runs are deleted while a task runs, is queued; marked while running; cleared as a whole",
    "dags": ["runs_deleted", "runs_deleted__mark", "runs_deleted__clear"],
    "actions": [
        {"trigger": {"run": "r1"}}, {"wait_ti": {"run": "r1", "task": "held", "state": "running"}},
        {"patch_run": {"run": "r1", "state": "failed"}}, {"delete_run": {"run": "r1"}}, {"trigger": {"run": "r2"}}, {"sleep": 1},
        {"touch": "r2"}, {"wait": {"run": "r2"}},
        {"trigger": {"dag": "runs_deleted__mark", "run": "s"}}, {"wait_ti": {"dag": "runs_deleted__mark", "run": "s", "task": "held", "state": "running"}},
        {"patch_run": {"dag": "runs_deleted__mark", "run": "s", "state": "success"}},
        {"trigger": {"dag": "runs_deleted__mark", "run": "f"}}, {"wait_ti": {"dag": "runs_deleted__mark", "run": "f", "task": "held", "state": "running"}},
        {"patch_run": {"dag": "runs_deleted__mark", "run": "f", "state": "failed"}},
        {"states": {"after": 4}},
        {"touch": "c1"}, {"trigger": {"dag": "runs_deleted__clear", "run": "c1"}}, {"wait": {"dag": "runs_deleted__clear", "run": "c1"}},
        {"clear_run": {"dag": "runs_deleted__clear", "run": "c1"}}, {"wait": {"dag": "runs_deleted__clear", "run": "c1"}},
        {"sleep": 4},
    ],
    "state_mismatch": True,
}
for n in ("", "__mark", "__clear"):
    with DAG("runs_deleted" + n, schedule=None):
        @task
        def held(run_id=None):
            gate("runs_deleted", run_id, 30)
        held() >> EmptyOperator(task_id="below")
