import getpass

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate

CASE = {
    "about": "fields of tasks that the local executor takes or leaves: executor by name and class, queues, a user, executor_config; a pool without bounds, one deleted while its tasks wait, one that is made later",
    "dags": ["executor_fields", "executor_fields__pools"],
    "before": [{"rest": {"method": "POST", "path": "/pools", "body": {"name": "executor_fields_all", "slots": -1}, "expect": 201}},
               {"set_pool": {"name": "executor_fields_gone", "slots": 1}}],
    "actions": [
        {"trigger": {}},
        {"trigger": {"dag": "executor_fields__pools"}},
        {"wait_ti": {"dag": "executor_fields__pools", "task": "first", "state": "running"}},
        {"wait_ti": {"dag": "executor_fields__pools", "task": "second", "state": "scheduled"}},
        {"rest": {"method": "DELETE", "path": "/pools/executor_fields_gone", "expect": 204}},
        {"touch": "go"},
        {"wait_ti": {"dag": "executor_fields__pools", "task": "first", "state": "success"}},
        {"wait": {"run": "r1"}},
        {"states": {"after": 3}},
        {"set_pool": {"name": "executor_fields_gone", "slots": 2}},
        {"set_pool": {"name": "executor_fields_later", "slots": 2}},
        {"wait": "runs"},
    ],
    "mask": {"log|*": "how often a waiting task is looked at depends on the load"},
}

with DAG("executor_fields", schedule=None):

    @task
    def t(ti=None):
        return ti.task_id

    t.override(task_id="by_name", executor="LocalExecutor")()
    t.override(task_id="by_class", executor="airflow.executors.local_executor.LocalExecutor")()
    t.override(task_id="by_queue", queue="of my own")()
    t.override(task_id="by_config", executor_config={"n": [1, {"a": None}], "KubernetesExecutor": {"image": "x"}})()
    t.override(task_id="by_user", run_as_user=getpass.getuser())()
    t.override(task_id="by_pool", pool="executor_fields_all", pool_slots=1000)()
    EmptyOperator(task_id="empty", executor="LocalExecutor", queue="q")

with DAG("executor_fields__pools", schedule=None):

    @task(pool="executor_fields_gone")
    def first():
        gate("executor_fields")

    first()
    t.override(task_id="second", pool="executor_fields_gone", priority_weight=0)()
    t.override(task_id="later", pool="executor_fields_later")()
