from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowSkipException

CASE = {"about": "setup and teardown: nested, in groups, failing setup, failing teardown with and without on_failure_fail_dagrun, skipped setup",
        "dags": ["setup_nested", "setup_nested__fail", "setup_nested__skip", "setup_nested__group", "setup_nested__clear"],
        "actions": [
            {"trigger": {"dag": "setup_nested"}}, {"trigger": {"dag": "setup_nested__fail"}}, {"trigger": {"dag": "setup_nested__skip"}},
            {"trigger": {"dag": "setup_nested__group"}}, {"trigger": {"dag": "setup_nested__clear"}},
            {"wait": "runs"},
            {"clear": {"dag": "setup_nested__clear", "task_ids": ["work"], "reset_dag_runs": True}},
            {"wait": "runs"},
        ], "limit": 200}


def mk(name, fail=False, skip=False, **kw):
    @task(task_id=name, **kw)
    def f():
        if fail:
            raise ValueError(name)
        if skip:
            raise AirflowSkipException(name)
        return name
    return f()


with DAG("setup_nested", schedule=None):  # nested
    s1, s2 = mk("s1").as_setup(), mk("s2").as_setup()
    t1, t2 = mk("t1").as_teardown(setups=s1), mk("t2").as_teardown(setups=s2)
    w1, w2 = mk("w1"), mk("w2", fail=True)
    s1 >> s2 >> w1 >> w2 >> t2 >> t1
    s1 >> mk("side") >> t1

with DAG("setup_nested__fail", schedule=None):
    s = mk("s", fail=True).as_setup()
    t = mk("t").as_teardown(setups=s)
    s >> mk("w") >> t
    s2 = mk("s2").as_setup()
    t2 = mk("t2", fail=True).as_teardown(setups=s2)
    s2 >> mk("w2") >> t2
    mk("other")
with DAG("setup_nested__skip", schedule=None):
    s = mk("s", skip=True).as_setup()
    t = mk("t").as_teardown(setups=s)
    s >> mk("w") >> t
    s2 = mk("s2").as_setup()
    t2 = mk("t2", fail=True).as_teardown(setups=s2, on_failure_fail_dagrun=True)
    s2 >> mk("w2") >> t2
with DAG("setup_nested__group", schedule=None):
    @task_group
    def g():
        @setup
        def gs():
            return 1

        @teardown
        def gt():
            raise ValueError("gt")

        gs() >> mk("gw") >> gt()

    @task_group
    def h():
        @teardown(on_failure_fail_dagrun=True)
        def ht():
            return 1
        mk("hw", fail=True) >> ht()

    g() >> mk("after_g")
    h() >> mk("after_h")
with DAG("setup_nested__clear", schedule=None):
    s = mk("s").as_setup()
    t = mk("t").as_teardown(setups=s)
    s >> mk("work") >> t >> EmptyOperator(task_id="end")
    s >> mk("work2") >> t
