from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, TaskGroup, task
from conformance_witness import context_facts, say

CASE = {
    "about": "runs with nothing to do: Dags without tasks, by hand and scheduled, with callbacks; an empty group; tasks that all start later or have ended; only a setup; a Dag whose tasks are taken away",
    "dags": ["empty_dags", "empty_dags__daily", "empty_dags__group", "empty_dags__later", "empty_dags__setup", "empty_dags__asset"],
    "actions": [
        {"trigger": {}}, {"trigger": {"dag": "empty_dags__group"}}, {"trigger": {"dag": "empty_dags__later", "logical_date": "2024-01-01T00:00:00Z"}}, {"trigger": {"dag": "empty_dags__setup"}},
        {"asset_event": {"asset": "empty_dags_a"}},
        {"wait": {"dag": "empty_dags__setup"}},
        {"wait": {"dag": "empty_dags__group"}},
        {"states": {"after": 8}},
        {"clear_run": {"dag": "empty_dags__setup"}},
        {"wait": {"dag": "empty_dags__setup"}},
        {"patch_run": {"dag": "empty_dags", "state": "success"}},
        {"patch_run": {"dag": "empty_dags__later", "state": "failed"}},
        {"sleep": 3}, {"states": {}},
    ],
}


def note(kind):
    def f(context):
        say("empty_dags", f"{kind} {context['dag'].dag_id} {context.get('reason')}")

    return f


CB = {"on_success_callback": note("success"), "on_failure_callback": note("failure")}
with DAG("empty_dags", schedule=None, **CB):
    pass

with DAG("empty_dags__daily", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2), catchup=True, **CB):
    pass

with DAG("empty_dags__asset", schedule=[Asset("empty_dags_a")], **CB):
    pass

with DAG("empty_dags__group", schedule=None, **CB):
    with TaskGroup("nothing") as g:
        pass
    EmptyOperator(task_id="a") >> g >> EmptyOperator(task_id="b")

with DAG("empty_dags__later", schedule=None, **CB):
    EmptyOperator(task_id="later", start_date=datetime(2100, 1, 1)) >> EmptyOperator(task_id="behind")
    EmptyOperator(task_id="ended", start_date=datetime(2020, 1, 1), end_date=datetime(2021, 1, 1))

with DAG("empty_dags__setup", schedule=None, **CB):
    EmptyOperator(task_id="s").as_setup()

    @task
    def fails():
        raise ValueError("down")

    fails().as_teardown()
