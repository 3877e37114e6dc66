from datetime import datetime, timedelta
from airflow.sdk import DAG, task
CASE = {
    "about": "max_consecutive_failed_dag_runs pauses the Dag; a success between starts the count anew",
    "actions": [
        {"trigger": {"run": "f1", "conf": {"f": 1}}}, {"wait": {"run": "f1"}},
        {"trigger": {"run": "s1"}}, {"wait": {"run": "s1"}},
        {"trigger": {"run": "f2", "conf": {"f": 1}}}, {"wait": {"run": "f2"}},
        {"states": {"after": 2}},
        {"trigger": {"run": "f3", "conf": {"f": 1}}}, {"wait": {"run": "f3"}},
        {"wait_sql": {"sql": "select count(*) from dag where dag_id='consecutive_failures' and is_paused", "equals": 1}},
        {"trigger": {"run": "q"}}, {"states": {"after": 4}},
        {"unpause": ""}, {"wait": "runs"},
        {"trigger": {"run": "f4", "conf": {"f": 1}}}, {"wait": {"run": "f4"}}, {"sleep": 3},
    ],
}
with DAG("consecutive_failures", schedule=None, max_consecutive_failed_dag_runs=2):
    @task
    def t(dag_run=None):
        if (dag_run.conf or {}).get("f"):
            raise ValueError("x")
    t()
