from airflow.sdk import DAG, task
from conformance_plugin import ByNameLength
from conformance_witness import gate, say

CASE = {
    "about": "a weight rule from a plugin: in a pool of one slot, the heaviest first; beside tasks with other rules (a mapped task with such a rule cannot be triggered in Airflow)",
    "batch": "plugins",
    "ordered": True,
    "before": [{"set_pool": {"name": "custom_weight_p", "slots": 1}}],
    "actions": [
        {"trigger": {}},
        {"wait_ti": {"task": "the_holder_of_the_pool", "state": "running"}},
        {"wait_sql": {"sql": "select count(*) from task_instance where dag_id = 'custom_weight' and state = 'scheduled'", "equals": 5}},
        {"touch": "go"},
        {"wait": "runs"},
    ],
}

with DAG("custom_weight", schedule=None, default_args={"pool": "custom_weight_p", "weight_rule": ByNameLength()}):

    @task
    def the_holder_of_the_pool():
        gate("custom_weight")

    the_holder_of_the_pool()
    for name in ("a", "abcde", "abc", "abcdefg"):

        @task(task_id=name, priority_weight=100 - len(name))
        def work(name):
            say("custom_weight", name)

        work(name)

    @task(task_id="ab", weight_rule="upstream", priority_weight=3)
    def by_rule():
        say("custom_weight", "ab")

    @task(weight_rule="downstream", priority_weight=2)
    def after():
        say("custom_weight", "after")

    by_rule() >> after()
