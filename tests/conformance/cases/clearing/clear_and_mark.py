from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group
from conformance_witness import gate, is_open, say

# Five tasks at once: more than the suite lets run on SQLite.
CASE = {"db": ["postgres"], "about": "clear and mark in running and finished runs: groups, up- and downstream, future and past, only failed, only running, notes, queued and up_for_retry ones, single tasks of failed runs", "limit": 250,
        "dags": ["clear_and_mark", "clear_and_mark__retry"],
        "actions": [
            {"trigger": {"logical_date": "2024-01-01T00:00:00Z"}}, {"trigger": {"run": "r2", "logical_date": "2024-01-02T00:00:00Z"}},
            {"trigger": {"dag": "clear_and_mark__retry"}},
            {"wait_ti": {"task": "g.bad", "state": "failed"}}, {"wait_ti": {"task": "g.bad", "run": "r2", "state": "failed"}}, {"wait_ti": {"task": "end", "state": "upstream_failed"}},
            {"wait_ti": {"task": "end", "run": "r2", "state": "upstream_failed"}},
            {"patch_ti": {"task": "g.bad", "state": "success", "note": "fixed by hand", "include_downstream": True}},
            {"states": {}},
            {"patch_group": {"run": "r2", "group": "g", "state": "success"}},
            {"wait_ti": {"dag": "clear_and_mark__retry", "task": "retries", "state": "up_for_retry"}},
            {"clear": {"dag": "clear_and_mark__retry", "task_ids": ["retries"]}},
            {"wait_ti": {"dag": "clear_and_mark__retry", "task": "retries", "state": "up_for_retry", "try": 2}},
            {"patch_ti": {"dag": "clear_and_mark__retry", "task": "retries", "state": "failed"}},
            {"wait_ti": {"dag": "clear_and_mark__retry", "task": "run_marked", "state": "running"}},
            {"patch_ti": {"dag": "clear_and_mark__retry", "task": "run_marked", "state": "skipped"}},
            {"wait_ti": {"dag": "clear_and_mark__retry", "task": "run_failed", "state": "running"}},
            {"patch_ti": {"dag": "clear_and_mark__retry", "task": "run_failed", "state": "failed"}},
            {"touch": "hold"}, {"wait": "runs"}, {"states": {}},
            {"touch": "fixed"},
            {"clear": {"task_ids": ["g.bad"], "include_downstream": True, "include_future": True, "only_failed": False}},
            {"wait": "runs"},
            {"clear": {"task_ids": ["end"], "include_upstream": True, "run": "r2"}},
            {"wait": "runs"},
            {"clear": {"task_ids": ["start"], "run": "r1", "reset_dag_runs": False}},
            {"sleep": 3}, {"states": {}},
            {"rest": {"method": "PATCH", "path": "/dags/clear_and_mark/dagRuns/r1", "body": {"state": "queued"}}}, {"wait": "runs"}],
        "ordered": False, "state_mismatch": True}

with DAG("clear_and_mark", schedule=None):
    @task
    def start():
        return 1

    @task
    def hold():
        gate("clear_and_mark", "hold")

    @task_group
    def g():
        @task
        def bad():
            if not is_open("clear_and_mark", "fixed"):
                raise ValueError("bad")

        @task
        def good():
            return 1
        bad() >> EmptyOperator(task_id="mid")
        good()
    start() >> g() >> EmptyOperator(task_id="end")
    hold()


def cb(kind):
    def f(context):
        say("clear_and_mark", f"{kind} {context['ti'].task_id}")
    return f


with DAG("clear_and_mark__retry", schedule=None, default_args={f"on_{k}_callback": cb(k) for k in ("failure", "success", "retry", "skipped")}):
    @task(retries=1, retry_delay=timedelta(minutes=5))
    def retries():
        raise ValueError("r")
    retries() >> EmptyOperator(task_id="after_retries", on_success_callback=None)

    @task
    def run_marked():
        gate("clear_and_mark", "never", limit=60)
    @task
    def run_failed():
        try:
            gate("clear_and_mark", "never", limit=60)
        finally:
            say("clear_and_mark", "finally")
    run_marked() >> EmptyOperator(task_id="am", on_success_callback=None)
    run_failed() >> EmptyOperator(task_id="af", on_success_callback=None)
