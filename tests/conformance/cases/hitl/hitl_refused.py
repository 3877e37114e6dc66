from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLBranchOperator, HITLOperator
from airflow.sdk import DAG, Param, task, task_group
from conformance_witness import say

CASE = {
    "about": "answers of people that are refused: unknown options, several where one is asked, none, bad params, too early, to a task that ended or failed, twice; in mapped groups; branches of several; while the Dag is paused; run marked meanwhile",
    "limit": 250,
    "dags": ["hitl_refused", "hitl_refused__marked"],
    "actions": [
        {"trigger": {}}, {"trigger": {"dag": "hitl_refused__marked"}},
        {"wait_ti": {"task": "one", "state": "awaiting_input"}}, {"wait_ti": {"task": "params", "state": "awaiting_input"}}, {"wait_ti": {"task": "branches", "state": "awaiting_input"}},
        {"wait_ti": {"task": "g.asks", "map_index": 0, "state": "awaiting_input"}}, {"wait_ti": {"task": "g.asks", "map_index": 1, "state": "awaiting_input"}},
        {"wait_ti": {"task": "retried", "state": "awaiting_input"}},
        {"wait_ti": {"dag": "hitl_refused__marked", "task": "asks", "state": "awaiting_input"}},
        {"rest": {"method": "PATCH", "path": "/dags/hitl_refused/dagRuns/r1/taskInstances/one/-1/hitlDetails", "body": {"chosen_options": ["nowhere"], "params_input": {}}, "expect": 400}},
        {"rest": {"method": "PATCH", "path": "/dags/hitl_refused/dagRuns/r1/taskInstances/one/-1/hitlDetails", "body": {"chosen_options": ["a", "b"], "params_input": {}}, "expect": 400}},
        {"rest": {"method": "PATCH", "path": "/dags/hitl_refused/dagRuns/r1/taskInstances/one/-1/hitlDetails", "body": {"chosen_options": [], "params_input": {}}, "expect": 422}},
        {"rest": {"method": "PATCH", "path": "/dags/hitl_refused/dagRuns/r1/taskInstances/later/-1/hitlDetails", "body": {"chosen_options": ["a"], "params_input": {}}, "expect": 404}},
        {"pause": "hitl_refused"},
        {"hitl": {"task": "params", "chosen": ["OK"], "params": {"n": "not a number"}}},
        {"hitl": {"task": "one", "chosen": ["b"]}},
        {"hitl": {"task": "branches", "chosen": ["left", "right"]}},
        {"hitl": {"task": "g.asks", "map_index": 1, "chosen": ["Reject"]}},
        {"hitl": {"task": "g.asks", "map_index": 0, "chosen": ["Approve"]}},
        {"hitl": {"task": "retried", "chosen": ["a"]}},
        {"patch_run": {"dag": "hitl_refused__marked", "state": "failed"}},
        {"states": {"after": 3}},
        {"unpause": "hitl_refused"},
        {"wait_ti": {"task": "later", "state": "awaiting_input"}},
        {"wait_ti": {"task": "retried", "try": 2, "state": "awaiting_input"}},
        {"sleep": 4},
        {"hitl": {"task": "retried", "chosen": ["b"]}},
        {"patch_ti": {"task": "later", "state": "failed"}},
        {"wait": "runs"},
        {"rest": {"method": "PATCH", "path": "/dags/hitl_refused__marked/dagRuns/r1/taskInstances/asks/-1/hitlDetails", "body": {"chosen_options": ["a"], "params_input": {}}, "expect": 409}},
        {"sleep": 2},
    ],
}

K = {"subject": "S", "body": "B"}


class Retried(HITLOperator):
    def execute_complete(self, context, event):
        say("hitl_refused", f"retried {context['ti'].try_number} {event.get('chosen_options')}")
        if context["ti"].try_number == 1:
            raise ValueError("again")
        return super().execute_complete(context, event)


with DAG("hitl_refused", schedule=None):
    one = HITLOperator(task_id="one", options=["a", "b"], **K)
    one >> HITLOperator(task_id="later", options=["a"], **K) >> EmptyOperator(task_id="behind_later")
    HITLOperator(task_id="params", options=["OK"], params={"n": Param(3, type="integer")}, **K)
    HITLBranchOperator(task_id="branches", options=["left", "right", "none"], multiple=True, **K) >> [EmptyOperator(task_id=t) for t in ("left", "right", "none")]
    Retried(task_id="retried", options=["a", "b"], retries=1, retry_delay=timedelta(0), **K)

    @task_group
    def g(x):
        ApprovalOperator(task_id="asks", subject="S", body=x) >> EmptyOperator(task_id="behind")

    g.expand(x=["x", "y"]) >> EmptyOperator(task_id="end", trigger_rule="none_failed")

with DAG("hitl_refused__marked", schedule=None):
    HITLOperator(task_id="asks", options=["a"], **K) >> EmptyOperator(task_id="behind")
