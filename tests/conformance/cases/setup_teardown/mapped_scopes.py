from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from conformance_witness import is_open

CASE = {
    "about": "mapped setups and teardowns, over nothing, with failing copies, scopes written with 'with', a teardown that fails the run, in mapped groups, a setup without teardown, a teardown behind a branch; copies cleared",
    "dags": ["mapped_scopes", "mapped_scopes__fails", "mapped_scopes__branch"],
    "actions": [
        {"trigger": {}}, {"trigger": {"dag": "mapped_scopes__fails"}}, {"trigger": {"dag": "mapped_scopes__branch"}},
        {"wait": "runs"},
        {"touch": "good"},
        {"clear": {"task_ids": [["work", 1]]}},
        {"wait": "runs"},
        {"clear": {"task_ids": [["g.inner", 0]], "include_downstream": True}},
        {"clear": {"dag": "mapped_scopes__fails", "task_ids": ["down_fails"]}},
        {"wait": "runs"},
    ],
    "limit": 250,
}


def mk(name, x=None, fail=(), skip=(), **kw):
    @task(task_id=name, **kw)
    def f(x=None):
        if x in fail and not is_open("mapped_scopes", "good"):
            raise ValueError(name)
        if x in skip:
            raise AirflowSkipException(name)
        return x

    return f


with DAG("mapped_scopes", schedule=None):
    up = mk("up", fail=(2,)).expand(x=[1, 2]).as_setup()
    work = mk("work", fail=(2,)).expand(x=[1, 2, 3])
    down = mk("down", fail=(5,)).expand(x=[4, 5])
    up >> work >> down.as_teardown(setups=up)
    down >> EmptyOperator(task_id="behind_down")

    none = mk("none")
    zero = none.override(task_id="up_zero").expand(x=[]).as_setup()
    zero >> none.override(task_id="work_zero")(7) >> none.override(task_id="down_zero")(8).as_teardown(setups=zero)

    s = none.override(task_id="s")(1).as_setup()
    with none.override(task_id="t").expand(x=[1, 2]).as_teardown(setups=s):
        none.override(task_id="w1").expand(x=[1]) >> mk("w2", skip=(1,))(1)
        EmptyOperator(task_id="w3")

    @task_group
    def g(x):
        a = mk("a", skip=(2,))(x).as_setup()
        inner = mk("inner", fail=(1,))(x)
        a >> inner >> mk("z")(x).as_teardown(setups=a)

    g.expand(x=[1, 2, 3]) >> EmptyOperator(task_id="behind_g", trigger_rule="all_done")
    mk("lonely", fail=(1,))(1).as_setup() >> EmptyOperator(task_id="behind_lonely")

with DAG("mapped_scopes__fails", schedule=None):
    a = mk("a")(1).as_setup()
    a >> mk("w")(1) >> mk("down_fails", fail=(1,))(1).as_teardown(setups=a, on_failure_fail_dagrun=True)

with DAG("mapped_scopes__branch", schedule=None):

    @task.branch
    def choose():
        return "left"

    @task.branch
    def choose_none():
        return None

    u = mk("u")(1).as_setup()
    c = choose()
    down = mk("d")(1).as_teardown(setups=u)
    u >> c >> [mk("left")(1), mk("right")(1)] >> down
    v = mk("v")(1).as_setup()
    v >> choose_none() >> mk("nothing")(1) >> mk("e")(1).as_teardown(setups=v)

    @task.short_circuit
    def stops():
        return False

    w = mk("ww")(1).as_setup()
    w >> stops() >> mk("cut")(1) >> mk("ee")(1).as_teardown(setups=w) >> EmptyOperator(task_id="last", trigger_rule="all_done")
