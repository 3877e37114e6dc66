from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLBranchOperator, HITLEntryOperator, HITLOperator
from airflow.sdk import DAG, Param
from conformance_witness import context_facts, say

CASE = {"about": "human in the loop: approve, reject with and without failing, timeouts with and without defaults, several options, params, a wrong answer, branches, mapped, retries, cleared", "limit": 250,
        "actions": [{"trigger": {}}, {"wait_ti": {"task": "approve", "state": "awaiting_input"}}, {"wait_ti": {"task": "reject", "state": "awaiting_input"}}, {"wait_ti": {"task": "reject_fail", "state": "awaiting_input"}}, {"wait_ti": {"task": "multi", "state": "awaiting_input"}}, {"wait_ti": {"task": "entry", "state": "awaiting_input"}}, {"wait_ti": {"task": "branch", "state": "awaiting_input"}}, {"wait_ti": {"task": "marked", "state": "awaiting_input"}}, {"wait_ti": {"task": "cleared", "state": "awaiting_input"}},
            {"wait_ti": {"task": "mapped", "map_index": 0, "state": "awaiting_input"}}, {"wait_ti": {"task": "mapped", "map_index": 1, "state": "awaiting_input"}}, 
            {"states": {}},
            {"hitl": {"task": "approve", "chosen": ["Approve"]}},
            {"hitl": {"task": "reject", "chosen": ["Reject"]}},
            {"hitl": {"task": "reject_fail", "chosen": ["Reject"]}},
            {"hitl": {"task": "multi", "chosen": ["a", "c"], "params": {"n": 4}}},
            {"hitl": {"task": "entry", "chosen": ["OK"], "params": {"text": "hello"}}},
            {"hitl": {"task": "branch", "chosen": ["two"]}},
            {"rest": {"method": "PATCH", "path": "/dags/hitl_corners/dagRuns/r1/taskInstances/approve/-1/hitlDetails", "body": {"chosen_options": ["Approve"], "params_input": {}}, "expect": 409}},
            {"patch_ti": {"task": "marked", "state": "success"}},
            {"clear": {"task_ids": ["cleared"]}},
            {"wait_ti": {"task": "cleared", "state": "awaiting_input", "try": 2}},
            {"hitl": {"task": "cleared", "chosen": ["b"]}},
            {"wait_ti": {"task": "mapped", "map_index": 1, "state": "awaiting_input"}},
            {"wait_ti": {"task": "mapped", "map_index": 0, "state": "awaiting_input"}},
            {"hitl": {"task": "mapped", "map_index": 1, "chosen": ["b"]}},
            {"hitl": {"task": "mapped", "map_index": 0, "chosen": ["a"]}},
            {"wait": "runs"}]}


def note(kind):
    def f(context):
        say("hitl_corners", f"{kind} {context_facts(context)}")
    return f


CB = {f"on_{k}_callback": note(k) for k in ("execute", "success", "failure", "retry", "skipped")}
K = dict(subject="S {{ run_id }}", body="B")
with DAG("hitl_corners", schedule=None, default_args=CB):
    for n, kw in (("approve", {}), ("reject", {}), ("reject_fail", {"fail_on_reject": True})):
        ApprovalOperator(task_id=n, **K, **kw) >> EmptyOperator(task_id=n + "_d")
    HITLOperator(task_id="multi", options=["a", "b", "c"], multiple=True, params={"n": Param(3, type="integer")}, **K)
    HITLEntryOperator(task_id="entry", params={"text": Param("x", type="string")}, **K)
    HITLBranchOperator(task_id="branch", options=["one", "two"], **K) >> [EmptyOperator(task_id="one"), EmptyOperator(task_id="two")]
    for n in ("marked", "cleared"):
        HITLOperator(task_id=n, options=["a", "b"], **K)
    HITLOperator(task_id="dflt", options=["a", "b"], defaults=["b"], response_timeout=timedelta(seconds=5), **K)
    HITLOperator(task_id="late", options=["a", "b"], response_timeout=timedelta(seconds=5), **K)
    HITLOperator(task_id="late_retry", options=["a", "b"], response_timeout=timedelta(seconds=5), retries=1, retry_delay=timedelta(0), **K)
    ApprovalOperator(task_id="appr_dflt", defaults="Reject", response_timeout=timedelta(seconds=5), **K) >> EmptyOperator(task_id="appr_dflt_d")
    HITLOperator.partial(task_id="mapped", options=["a", "b"], body="B").expand(subject=["s0", "s1"])
