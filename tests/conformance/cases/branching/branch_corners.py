from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, ShortCircuitOperator
from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.sdk import DAG, Label, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

CASE = {"about": "branches into groups, out of mapped tasks, none chosen, wrong choice, short circuits ignoring trigger rules, latest only, branch cleared to the other side", "limit": 200,
        "dags": ["branch_corners", "branch_corners__flip"],
        "actions": [{"trigger": {"dag": "branch_corners"}}, {"trigger": {"dag": "branch_corners", "run": "old", "logical_date": "2021-01-01T00:00:00Z"}},
                    {"trigger": {"dag": "branch_corners__flip"}}, {"wait": "runs"}, {"touch": "flip"},
                    {"clear": {"dag": "branch_corners__flip", "task_ids": ["choose"], "include_downstream": True}}, {"wait": "runs"}],
        "mask": {"runs|*|tasks|datebranch": "depends on the time of day", "xcom|*datebranch*": "depends on the time of day"}}

E_ = lambda n, **k: EmptyOperator(task_id=n, **k)

with DAG("branch_corners", schedule=None):
    @task.branch
    def to_group():
        return "grp"

    @task_group
    def grp():
        E_("a") >> E_("b")

    b = to_group()
    b >> grp() >> E_("join", trigger_rule="none_failed_min_one_success")
    b >> E_("notgrp") >> E_("join2", trigger_rule="none_failed")

    @task.branch
    def none():
        return None
    n = none()
    n >> [E_("n1"), E_("n2")] >> E_("njoin", trigger_rule="all_done")

    @task.branch
    def wrong():
        return "nowhere"
    wrong() >> E_("w1")

    @task.branch
    def mapped_branch(x):
        return f"m{x}"
    mapped_branch.expand(x=[1, 3]) >> [E_("m1"), E_("m2"), E_("m3")]

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def sc_soft():
        return False
    sc_soft() >> E_("soft1") >> E_("soft2", trigger_rule="all_done")

    @task.short_circuit
    def sc_hard():
        return []
    sc_hard() >> E_("hard1") >> E_("hard2", trigger_rule="all_done")

    @task.short_circuit
    def sc_true():
        return "yes"
    sc_true() >> E_("true1")

    @task.short_circuit
    def sc_map(x):
        return x
    sc_map.expand(x=[True, False]) >> E_("sm1") >> E_("sm2", trigger_rule="none_failed")

    LatestOnlyOperator(task_id="latest") >> E_("l1") >> E_("l2", trigger_rule="all_done")

    @task_group
    def per(x):
        @task.branch
        def inner(x):
            return "per.left" if x % 2 else "per.right"

        @task
        def left():
            return "L"

        @task
        def right():
            return "R"
        inner(x) >> [left(), right()] >> E_("pjoin", trigger_rule="none_failed_min_one_success")
    per.expand(x=[1, 2, 3])

    @task_group
    def per_sc(x):
        @task.short_circuit
        def inner(x):
            return x
        @task
        def t1():
            return 1
        @task
        def t2():
            return 1
        inner(x) >> t1() >> t2()
    per_sc.expand(x=[True, False]) >> E_("after_per_sc")

with DAG("branch_corners__flip", schedule=None):
    @task.branch
    def choose():
        from conformance_witness import is_open
        return "x" if not is_open("branch_corners", "flip") else ["y", "z"]
    choose() >> [E_("x"), E_("y"), E_("z")] >> E_("j", trigger_rule="one_success")
