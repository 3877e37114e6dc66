from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, chain, cross_downstream, task, task_group

CASE = {
    "about": "default arguments of Dags and nested groups, chain and cross_downstream, run_if and skip_if, a group that fails and retries",
    "dags": ["group_defaults"],
}

with DAG(
    "group_defaults",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1), "queue": "q_dag", "owner": "dag_owner", "priority_weight": 3},
):
    with TaskGroup("outer", default_args={"retries": 0, "owner": "outer_owner"}) as outer:
        first = EmptyOperator(task_id="first")
        with TaskGroup("inner", default_args={"queue": "q_inner", "trigger_rule": "all_done"}) as inner:

            @task
            def fails(ti=None):
                raise ValueError(f"try {ti.try_number}")

            behind = EmptyOperator(task_id="behind", owner="own_owner")
            fails() >> behind
        first >> inner

    @task
    def once_more(ti=None):
        if ti.try_number == 1:
            raise ValueError("first try")
        return [ti.try_number, ti.task.owner, ti.task.queue]

    @task.run_if(lambda context: context["dag_run"].run_type == "backfill")
    @task
    def not_run():
        return "never"

    @task.skip_if(lambda context: context["ti"].task_id == "skipped", skip_message="skipped by its condition")
    @task
    def skipped():
        return "never"

    @task.skip_if(lambda context: False)
    @task
    def run_anyway(x):
        return x

    @task_group(default_args={"retries": 0}, prefix_group_id=False)
    def decorated(x):
        return run_anyway(x)

    a, b, c, d = (EmptyOperator(task_id=name, trigger_rule="all_done") for name in "abcd")
    e, f, g = (EmptyOperator(task_id=name, trigger_rule="none_failed") for name in "efg")
    chain(outer, [a, b], [c, d], e)
    cross_downstream([not_run(), skipped()], [f, g])
    decorated(once_more()) >> g
