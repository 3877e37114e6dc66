import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

# Which of a skipped and a failed upstream ends first decides some states: with the three tasks at once of SQLite it is another one.
CASE = {"db": ["postgres"], "about": "every trigger rule over five mixes of upstreams, one of them mapped, one without a failure", "limit": 200}

RULES = [r for r in TriggerRule]

with DAG("rules_matrix", schedule=None):

    @task
    def ok():
        return 1

    @task
    def bad():
        raise ValueError("x")

    @task
    def skip():
        raise AirflowSkipException("s")

    @task
    def mapped(x):
        if x == 0:
            time.sleep(4)  # after the failure, so that what sees both sees the failure first
            raise AirflowSkipException("s")
        if x == 2:
            raise ValueError("x")
        return x

    ok1, ok2, bad1, skip1, skip2 = ok(), ok.override(task_id="ok2")(), bad(), skip(), skip.override(task_id="skip2")()
    m_all = mapped.expand(x=[0, 1, 2])
    m_oks = mapped.override(task_id="m_oks")(1) if False else mapped.override(task_id="m_oks").expand(x=[0, 1])
    upf = EmptyOperator(task_id="upf")
    bad1 >> upf
    mixes = {"ok_skip": [ok1, skip1], "skip_skip": [skip1, skip2], "ok_upf": [ok2, upf], "map": [m_all], "map_skip": [m_oks, skip2]}
    for k, ups in mixes.items():
        for r in RULES:
            if str(r.value) == "dummy":
                continue
            t = EmptyOperator(task_id=f"{k}__{r.value}", trigger_rule=r)
            ups >> t
