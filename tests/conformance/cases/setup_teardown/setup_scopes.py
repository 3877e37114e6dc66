from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

CASE = {
    "about": "setups and teardowns: only teardowns, a setup that retries, two setups of which one fails or is skipped, a teardown without work, a teardown that is a leaf with others, clearing work, marking a setup, a branch around a scope",
    "dags": ["setup_scopes", "setup_scopes__only", "setup_scopes__two", "setup_scopes__branch"],
    "actions": [
        {"trigger": {"dag": "setup_scopes"}},
        {"trigger": {"dag": "setup_scopes__only"}},
        {"trigger": {"dag": "setup_scopes__two"}},
        {"trigger": {"dag": "setup_scopes__branch"}},
        {"wait": "runs"},
        {"clear": {"dag": "setup_scopes", "task_ids": ["work"]}},
        {"wait": "runs"},
        {"patch_ti": {"dag": "setup_scopes__two", "task": "bad", "state": "success"}},
        {"wait": "runs"},
        {"clear": {"dag": "setup_scopes__two", "task_ids": ["work_b"], "include_downstream": True}},
        {"wait": "runs"},
    ],
    "limit": 250,
}


def mk(name, fail=False, skip=False, first=False, **kw):
    @task(task_id=name, **kw)
    def f(ti=None):
        if fail or (first and ti.try_number == 1):
            raise ValueError(name)
        if skip:
            raise AirflowSkipException(name)
        return name

    return f()


with DAG("setup_scopes", schedule=None):
    s = mk("s", first=True, retries=1, retry_delay=timedelta(0)).as_setup()
    t = mk("t").as_teardown(setups=s)
    work = mk("work")
    s >> work >> t
    work >> EmptyOperator(task_id="leaf")
    alone = mk("alone").as_setup()
    alone >> mk("alone_t", fail=True).as_teardown(setups=alone)
    mk("upstream_fails", fail=True) >> mk("s2").as_setup() >> mk("w2") >> mk("t2").as_teardown()

with DAG("setup_scopes__only", schedule=None):
    a = mk("a", fail=True).as_teardown()
    b = mk("b").as_teardown()
    a >> b

with DAG("setup_scopes__two", schedule=None):
    good, bad, skips = mk("good").as_setup(), mk("bad", fail=True).as_setup(), mk("skips", skip=True).as_setup()
    down_b = mk("down_b").as_teardown(setups=[good, bad])
    down_s = mk("down_s").as_teardown(setups=[good, skips])
    down_n = mk("down_n").as_teardown(setups=[skips])
    [good, bad] >> mk("work_b") >> down_b
    [good, skips] >> mk("work_s") >> down_s
    skips >> mk("work_n", fail=True) >> down_n
    [down_b, down_s] >> EmptyOperator(task_id="behind", trigger_rule="all_done_setup_success")

with DAG("setup_scopes__branch", schedule=None):

    @task.branch
    def choose():
        return "other"

    inside = mk("inside").as_setup()
    gone = mk("gone").as_teardown(setups=inside)
    c = choose()
    c >> inside >> mk("inner") >> gone
    c >> mk("other")
    gone >> EmptyOperator(task_id="end", trigger_rule="none_failed")
