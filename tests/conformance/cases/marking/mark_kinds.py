from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group
from conformance_triggers import Does
from airflow.sdk import BaseOperator
from conformance_witness import gate

CASE = {
    "about": "marking: all copies at once, one copy, a mapped group, tasks not started, scheduled, waiting for a retry, deferred; notes alone; dry; states that are refused; runs to queued, success and failed in turn",
    "actions": [
        {"trigger": {}},
        {"wait_ti": {"task": "hold", "state": "running"}},
        {"wait_ti": {"task": "g.bad", "map_index": 0, "state": "failed"}}, {"wait_ti": {"task": "g.bad", "map_index": 1, "state": "failed"}},
        {"wait_ti": {"task": "retries", "state": "up_for_retry"}}, {"wait_ti": {"task": "defers", "state": "deferred"}},
        {"patch_ti": {"task": "copies", "map_index": 1, "state": "success"}},
        {"patch_ti": {"task": "not_started", "state": "success"}},
        {"patch_ti": {"task": "not_expanded", "state": "failed"}},
        {"patch_ti": {"task": "retries", "state": "success", "include_downstream": True}},
        {"patch_ti": {"task": "defers", "state": "skipped"}},
        {"patch_group": {"group": "g", "state": "success"}},
        {"rest": {"method": "PATCH", "path": "/dags/mark_kinds/dagRuns/r1/taskInstances/hold", "body": {"note": "only a note"}}},
        {"rest": {"method": "PATCH", "path": "/dags/mark_kinds/dagRuns/r1/taskInstances/hold/dry_run", "body": {"new_state": "failed"}}},
        {"patch_ti": {"task": "hold", "state": "running", "expect": 422}},
        {"rest": {"method": "PATCH", "path": "/dags/mark_kinds/dagRuns/r1", "body": {"note": "a note"}}},
        {"rest": {"method": "PATCH", "path": "/dags/mark_kinds/dagRuns/r1", "body": {"state": "running"}, "expect": 422}},
        {"states": {"after": 2}},
        {"touch": "go"},
        {"wait": "runs"},
        {"states": {}},
        {"patch_ti": {"task": "copies", "state": "failed"}},
        {"states": {"after": 2}},
        {"patch_run": {"state": "queued"}},
        {"wait": "runs"},
        {"patch_run": {"state": "success"}},
        {"patch_run": {"state": "queued"}},
        {"wait": "runs"},
        {"patch_run": {"state": "failed"}},
        {"sleep": 2},
    ],
    "state_mismatch": True,
    "limit": 200,
}


class Defers(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Does("event", 600), method_name="execute")


with DAG("mark_kinds", schedule=None):

    @task
    def hold():
        gate("mark_kinds")

    @task
    def copies(x):
        return x

    @task(retries=1, retry_delay=timedelta(minutes=10))
    def retries():
        raise ValueError("r")

    @task
    def three():
        return [1, 2, 3]

    held = hold()
    held >> copies.expand(x=[1, 2, 3]) >> EmptyOperator(task_id="behind_copies")
    held >> EmptyOperator(task_id="not_started") >> EmptyOperator(task_id="behind_not_started")
    got = three()
    held >> got
    copies.override(task_id="not_expanded").expand(x=got) >> EmptyOperator(task_id="behind_not_expanded")
    retries() >> EmptyOperator(task_id="behind_retries") >> EmptyOperator(task_id="last")
    Defers(task_id="defers") >> EmptyOperator(task_id="behind_defers")

    @task_group
    def g(x):
        @task
        def bad(x):
            raise ValueError(x)

        bad(x) >> EmptyOperator(task_id="behind")

    g.expand(x=[1, 2]) >> EmptyOperator(task_id="behind_g")
