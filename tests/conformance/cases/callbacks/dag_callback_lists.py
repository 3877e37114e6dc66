from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say, context_facts
CASE = {
    "about": "Dag callbacks: lists, one that raises, after a clear, for marked runs, scheduled runs",
    "dags": ["dag_callback_lists", "dag_callback_lists__sched"],
    "actions": [
        {"trigger": {"run": "r1"}}, {"wait": {"run": "r1"}},
        {"trigger": {"run": "r2", "conf": {"f": 1}}}, {"wait": {"run": "r2"}},
        {"clear": {"run": "r2", "only_failed": True}}, {"wait": {"run": "r2"}},
        {"trigger": {"run": "r3", "conf": {"hold": 1}}}, {"wait_ti": {"run": "r3", "task": "t", "state": "running"}},
        {"patch_run": {"run": "r3", "state": "failed"}},
        {"wait": {"dag": "dag_callback_lists__sched", "count": 2}},
        {"sleep": 6},
    ],
    "state_mismatch": True,
}
def f1(context):
    say("dag_callback_lists", "f1 " + context_facts(context) + f" keys={sorted(context)}")
def f2(context):
    raise ValueError("callback that fails")
def f3(context):
    say("dag_callback_lists", "f3 " + context_facts(context) + f" li={context.get('data_interval_start')}")
def s1(context):
    say("dag_callback_lists", "s1 " + context_facts(context) + f" keys={sorted(context)} p={context.get('params')} pp={context.get('logical_date')}")
with DAG("dag_callback_lists", schedule=None, on_failure_callback=[f1, f2, f3], on_success_callback=[s1], params={"q": 1}):
    @task
    def t(dag_run=None):
        c = dag_run.conf or {}
        if c.get("f"):
            raise ValueError("x")
        if c.get("hold"):
            gate("dag_callback_lists", "never", 30)
    t()
with DAG("dag_callback_lists__sched", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2), catchup=True, on_failure_callback=[f1, f2, f3], on_success_callback=[s1]):
    EmptyOperator(task_id="t") >> EmptyOperator(task_id="u")
