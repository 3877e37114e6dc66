from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException
from conformance_witness import gate

CASE = {
    "about": "wait_for_past_depends_before_skipping: what would be skipped waits for the run before; without it it is skipped at once; in copies; cleared",
    "actions": [
        {"wait_ti": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task": "skips_now", "state": "skipped"}},
        {"states": {"after": 3}},
        {"touch": "go"},
        {"wait": {"count": 3}},
        {"clear": {"run": "scheduled__2024-01-02T00:00:00+00:00", "task_ids": ["chooses"], "include_downstream": True}},
        {"wait": {"count": 3}},
        {"sleep": 2},
        {"wait": "runs"},
    ],
}

PAST = {"depends_on_past": True}
with DAG("past_skipping", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 3), catchup=True):

    @task
    def first(logical_date=None):
        if logical_date.day == 1:
            gate("past_skipping")

    @task
    def chooses():
        raise AirflowSkipException("all but nothing")

    held = first()
    chosen = chooses()
    EmptyOperator(task_id="waits", wait_for_past_depends_before_skipping=True, **PAST) << [chosen, held]
    EmptyOperator(task_id="skips", **PAST) << [chosen, held]
    EmptyOperator(task_id="skips_now") << chosen
    after = EmptyOperator(task_id="waits_alone", wait_for_past_depends_before_skipping=True, **PAST)
    chosen >> after >> EmptyOperator(task_id="behind", trigger_rule="all_done")

    @task(wait_for_past_depends_before_skipping=True, **PAST)
    def copies(x):
        return x

    chosen >> copies.expand(x=[1, 2])

    @task.short_circuit
    def no():
        return False

    no() >> EmptyOperator(task_id="cut", wait_for_past_depends_before_skipping=True, **PAST)
