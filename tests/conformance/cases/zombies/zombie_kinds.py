import os
import time
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import context_facts, say

CASE = {"state_mismatch": True, "about": "tasks whose supervisor and process die: with and without retries, mapped, with an e-mail of callbacks", "batch": "zombies", "limit": 200,
        "actions": [{"trigger": {}}, {"wait": "runs"}, {"sleep": 3}]}


def note(kind):
    def f(context):
        say("zombie_kinds", f"{kind} {context_facts(context)}")
    return f


CB = {f"on_{k}_callback": note(k) for k in ("success", "failure", "retry", "skipped")}
with DAG("zombie_kinds", schedule=None, default_args=CB, on_failure_callback=note("dagfail")):
    def die():
        os.kill(os.getppid(), 9)
        os.kill(os.getpid(), 9)

    @task
    def plain():
        die()

    @task(retries=1, retry_delay=timedelta(0))
    def mapped(x, ti=None):
        if x == 1:
            die()
        return x
    plain() >> EmptyOperator(task_id="d1", on_success_callback=None)
    mapped.expand(x=[0, 1]) >> EmptyOperator(task_id="d2", trigger_rule="all_done", on_success_callback=None)
