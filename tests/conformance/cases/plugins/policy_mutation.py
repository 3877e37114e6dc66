from airflow.sdk import DAG, task
from conformance_witness import say

CASE = {
    "about": "task_instance_mutation_hook: queue by the number of the try, slots, of plain and mapped tasks, of retries, after clearing",
    "batch": "plugins",
    "actions": [
        {"trigger": {}},
        {"wait": "runs"},
        {"clear": {"task_ids": ["moved_once"], "only_failed": False}},
        {"wait": "runs"},
    ],
}

with DAG("policy_mutation", schedule=None, default_args={"retries": 1, "retry_delay": 0}):

    @task
    def moved_once():
        return [1, 2]

    @task
    def moved_flaky(ti=None):
        say("policy_mutation", f"flaky try {ti.try_number} queue {ti.queue}")
        if ti.try_number == 1:
            raise ValueError("once more")

    @task
    def moved_mapped(x, ti=None):
        if ti.try_number == 1 and x == 2:
            raise ValueError("once more")

    @task
    def stays():
        pass

    numbers = moved_once()
    numbers >> moved_flaky() >> stays()
    moved_mapped.expand(x=numbers)
