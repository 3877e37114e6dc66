from datetime import datetime, timedelta

from airflow.sdk import DAG, TaskGroup, task, teardown
from airflow.sdk.exceptions import AirflowSkipException
from conformance_witness import say

CASE = {
    "about": "callbacks from default arguments of a Dag and of a group, of setups and teardowns, of copies of a mapped task, with retries",
    "dags": ["group_callbacks"],
}


def told(kind):
    def callback(context):
        ti = context["ti"]
        error = context.get("exception")
        say("group_callbacks", f"{kind} {ti.task_id}[{ti.map_index}] try {ti.try_number} {type(error).__name__ if error else 'no error'}")

    return callback


with DAG(
    "group_callbacks",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    default_args={"on_success_callback": told("dag success"), "on_failure_callback": told("dag failure"), "retry_delay": timedelta(seconds=1)},
    on_failure_callback=lambda context: say("group_callbacks", f"run {context['dag_run'].state} {context['reason']}"),
):
    with TaskGroup("g", default_args={"on_failure_callback": [told("group failure"), told("group failure again")], "on_skipped_callback": told("group skipped")}):

        @task(retries=1, on_retry_callback=told("retry"))
        def copies(x, ti=None):
            if x == 0:
                return x
            if x == 1:
                raise AirflowSkipException("on purpose")
            raise ValueError("on purpose")

        copies.expand(x=[0, 1, 2])

    @task
    def create():
        return "made"

    @task
    def work(x):
        raise KeyError("work")

    @teardown(on_failure_fail_dagrun=True)
    def remove():
        raise RuntimeError("teardown")

    made = create().as_setup()
    worked = work(made)
    made >> worked >> remove()
