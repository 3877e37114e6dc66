from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowSkipException

CASE = {
    "about": "in mapped groups: branches, short circuits, trigger rules, setups and teardowns, lengths of one copy's results; joins behind them",
    "dags": ["map_group_rules", "map_group_rules__setup", "map_group_rules__none"],
    "actions": [
        {"trigger": {"dag": "map_group_rules"}},
        {"trigger": {"dag": "map_group_rules__setup"}},
        {"trigger": {"dag": "map_group_rules__none"}},
        {"wait": "runs"},
        {"clear": {"dag": "map_group_rules__setup", "task_ids": [["h.work", 1]]}},
        {"wait": "runs"},
    ],
    "limit": 250,
}


@task
def odd(x):
    if x == 1:
        raise ValueError("one")
    if x == 2:
        raise AirflowSkipException("two")
    return x


@task
def same(x):
    return x


with DAG("map_group_rules", schedule=None):

    @task_group
    def g(x):
        @task.branch
        def choose(x):
            return {0: "g.left", 1: "g.right"}.get(x)

        @task.short_circuit
        def only_zero(x):
            return x == 0

        choose(x) >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")] >> EmptyOperator(
            task_id="join", trigger_rule="none_failed_min_one_success"
        )
        only_zero(x) >> same.override(task_id="behind")(x)
        o = odd(x)
        for rule in (
            "all_success", "all_failed", "all_done", "all_skipped", "one_success", "one_failed", "one_done", "none_failed",
            "none_skipped", "none_failed_min_one_success", "all_done_min_one_success", "all_done_setup_success",
        ):
            o >> EmptyOperator(task_id=rule, trigger_rule=rule)

    groups = g.expand(x=[0, 1, 2])
    for rule in ("all_done", "one_failed", "none_failed", "all_done_min_one_success", "one_success"):
        groups >> EmptyOperator(task_id=f"after_{rule}", trigger_rule=rule)

with DAG("map_group_rules__setup", schedule=None):

    @task_group
    def h(x):
        @setup
        def up(x):
            if x == 2:
                raise ValueError("no set-up")
            return x

        @teardown
        def down(x):
            return x

        @task
        def work(x):
            if x == 1:
                raise ValueError("work")
            return x

        u = up(x)
        w = work(x)
        d = down(x)
        u >> w >> d
        u >> d

    h.expand(x=same.override(task_id="values")([0, 1, 2])) >> same.override(task_id="after_h")("end")

with DAG("map_group_rules__none", schedule=None):

    @task
    def nothing():
        return []

    @task
    def fails():
        raise ValueError("on purpose")

    @task_group
    def k(x):
        same.override(task_id="first")(x) >> EmptyOperator(task_id="second") >> EmptyOperator(
            task_id="third", trigger_rule="all_done"
        )

    k.override(group_id="over_nothing").expand(x=nothing()) >> EmptyOperator(task_id="after_nothing", trigger_rule="none_failed")
    k.override(group_id="over_failed").expand(x=fails()) >> EmptyOperator(task_id="after_failed", trigger_rule="all_done")
    k.override(group_id="over_skipped").expand(x=odd.override(task_id="skips")(2)) >> EmptyOperator(
        task_id="after_skipped", trigger_rule="all_skipped"
    )
