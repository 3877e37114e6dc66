from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say
CASE = {
    "about": "a Dag changes between runs and while queued: task added, removed, made mapped, renamed; old runs are cleared",
    "actions": [
        {"trigger": {"run": "r1"}}, {"wait": {"run": "r1"}},
        {"replace": {"old": "V = 1", "new": "V = 2"}},
        {"wait_sql": {"sql": "select count(*) from dag_version where dag_id='versions_between_runs'", "equals": 2}},
        {"sleep": 3},
        {"clear": {"run": "r1"}}, {"wait": "runs"},
        {"trigger": {"run": "r2"}}, {"wait": {"run": "r2"}},
        {"clear": {"run": "r1", "run_on_latest_version": True}}, {"wait": "runs"},
        {"replace": {"old": "V = 2", "new": "V = 3"}},
        {"wait_sql": {"sql": "select count(*) from dag_version where dag_id='versions_between_runs'", "equals": 3}},
        {"sleep": 3},
        {"clear": {"run": "r2", "task_ids": ["a"], "include_downstream": True}}, {"wait": "runs"},
        {"trigger": {"run": "r3"}}, {"wait": {"run": "r3"}},
    ],
}
V = 1
with DAG("versions_between_runs", schedule=None):
    a = EmptyOperator(task_id="a")
    if V == 1:
        a >> EmptyOperator(task_id="b")
    elif V == 2:
        a >> EmptyOperator(task_id="c")
    @task
    def m(x=None):
        return x
    if V == 1:
        a >> m()
    else:
        a >> m.expand(x=[1, 2] if V == 2 else [1, 2, 3])
