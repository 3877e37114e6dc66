from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from conformance_witness import say

CASE = {"about": "mapping: zip_longest, product, map with skip, concat, None, over nothing, dict results, groups, index templates, mapped skip and retries", "limit": 250}

with DAG("map_corners", schedule=None):
    @task
    def two():
        return [1, 2]

    @task
    def three():
        return ["a", "b", "c"]

    @task
    def none():
        return None

    @task
    def empty():
        return []

    @task
    def dic():
        return {"k1": 1, "k2": 2}

    @task
    def text():
        return "string"

    @task(map_index_template="{{ task.op_kwargs['x'] }}!")
    def show(x):
        return str(x)

    @task(map_index_template="{{ my }}")
    def show_late(x):
        from airflow.sdk import get_current_context
        get_current_context()["my"] = f"late {x}"
        if x == 2:
            raise ValueError("two")
        return x

    def longer(x):
        if x == 1:
            raise AirflowSkipException("one")
        return x * 10

    show.override(task_id="ziplong").expand(x=two().zip(three(), fillvalue="F"))
    show.override(task_id="zipshort").expand(x=two().zip(three()))
    show.override(task_id="mapped_skip").expand(x=two().map(longer))
    show.override(task_id="cat").expand(x=two().concat(three()))
    show.override(task_id="over_none").expand(x=none())
    show.override(task_id="over_empty").expand(x=empty()) >> EmptyOperator(task_id="behind_empty") 
    show.override(task_id="over_empty2").expand(x=empty()) >> EmptyOperator(task_id="behind_empty_ad", trigger_rule="all_done")
    show.override(task_id="over_dict").expand(x=dic())
    show.override(task_id="over_text").expand(x=text())
    show_late.expand(x=two())
    @task
    def prod(a, b, c):
        return [a, b, c]
    p = prod.partial(c="c").expand(a=two(), b=[7, 8])

    @task
    def total(vals):
        return len(list(vals))
    total(p)

    @task(retries=1, retry_delay=timedelta(0))
    def flaky(x, ti=None):
        if x == 2 and ti.try_number == 1:
            raise ValueError("first")
        if x == 3:
            raise AirflowSkipException()
        return None if x == 1 else x
    f = flaky.expand(x=[1, 2, 3])
    total.override(task_id="total_flaky", trigger_rule="all_done")(f)
    show.override(task_id="over_flaky", trigger_rule="all_done").expand(x=f)

    BashOperator.partial(task_id="bash", map_index_template="{{ task.env['n'] }}", append_env=True).expand_kwargs(two().map(lambda x: {"bash_command": f"echo {x}; exit {99 if x == 2 else 0}", "env": {"n": str(x)}}))
    BashOperator.partial(task_id="bad_kwargs").expand_kwargs(two())
    EmptyOperator.partial(task_id="mapempty").expand_kwargs([{"doc_md": "1"}, {"doc_md": "2"}])

    @task_group
    def g(x):
        @task
        def lst(x):
            return list(range(x))

        @task
        def each(y):
            return y
        l = lst(x)
        s = total.override(task_id="size")(l)
        total.override(task_id="again")([x, s])
    g.expand(x=two()) >> EmptyOperator(task_id="after_g")

    @task_group
    def g0(x):
        show(x) >> EmptyOperator(task_id="in_g0")
    g0.expand(x=empty()) >> EmptyOperator(task_id="after_g0", trigger_rule="none_failed")

    @task_group
    def gf(x):
        @task
        def a(x):
            if x == 1:
                raise ValueError("1")
            if x == 2:
                raise AirflowSkipException("2")
            return x
        @task(trigger_rule="all_done")
        def fin():
            return 1
        @task(trigger_rule="one_failed")
        def onf():
            return 1
        @task(trigger_rule="none_failed")
        def nof():
            return 1
        @task(trigger_rule="all_skipped")
        def ask():
            return 1
        a(x) >> [fin(), onf(), nof(), ask()]
    gf.expand(x=[1, 2, 3]) >> EmptyOperator(task_id="after_gf", trigger_rule="one_success")
