from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say, context_facts
CASE = {
    "about": "dagrun_timeout with a Dag failure callback; running, scheduled, retrying tasks",
    "actions": [{"trigger": {}}, {"wait": {"state": "failed"}}, {"witness": {"lines": 1}}, {"sleep": 3}, {"trigger": {"run": "r2"}}, {"wait": "runs"}],
    "state_mismatch": True,
    "mask": {"witness|0": "of two tasks that start together, the callback is given the one that started last"},
}
def cb(context):
    say("dagrun_timeouts", "fail " + context_facts(context))
def ok(context):
    say("dagrun_timeouts", "ok " + context_facts(context))
with DAG("dagrun_timeouts", schedule=None, dagrun_timeout=timedelta(seconds=12), on_failure_callback=cb, on_success_callback=ok):
    done = EmptyOperator(task_id="done")
    @task
    def held(run_id=None):
        if run_id == "r1":
            gate("dagrun_timeouts", "never")
    @task(retries=3, retry_delay=timedelta(minutes=5))
    def retries(run_id=None):
        if run_id == "r1":
            raise ValueError("x")
    @task(trigger_rule="all_done")
    def last():
        pass
    done >> [held(), retries()] >> last()
