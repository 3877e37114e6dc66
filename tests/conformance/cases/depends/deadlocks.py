from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say, context_facts
CASE = {
    "about": "depends_on_past with a failed run before: the next run deadlocks; then the failure is cleared or marked",
    "actions": [
        {"trigger": {"run": "a", "logical_date": "2024-01-01T00:00:00Z", "conf": {"fail": 1}}},
        {"wait": {"run": "a"}},
        {"trigger": {"run": "b", "logical_date": "2024-01-02T00:00:00Z"}},
        {"states": {"after": 5}},
        {"trigger": {"run": "c", "logical_date": "2024-01-03T00:00:00Z"}},
        {"states": {"after": 5}},
        {"patch_ti": {"run": "a", "task": "t", "state": "success"}},
        {"wait": {"run": "c"}},
        {"wait": "runs"},
        {"sleep": 2},
        {"trigger": {"run": "nodate"}},
        {"wait": "runs"},
    ],
}
def cb(context):
    say("deadlocks", "fail " + context_facts(context))
with DAG("deadlocks", schedule=None, on_failure_callback=cb, start_date=datetime(2024, 1, 1)):
    @task(depends_on_past=True)
    def t(dag_run=None):
        if dag_run.conf and dag_run.conf.get("fail"):
            raise ValueError("x")
    t() >> EmptyOperator(task_id="u")
