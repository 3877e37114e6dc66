from airflow.sdk import DAG, task
from conformance_witness import gate

CASE = {
    "about": "XComs made, changed and deleted by REST while the run runs: pulled, mapped over, of copies; one of a task that has not run yet; cleared afterwards",
    "actions": [
        {"trigger": {}},
        {"wait_ti": {"task": "hold", "state": "running"}},
        {"wait_ti": {"task": "makes", "state": "success"}},
        {"wait_ti": {"task": "copies", "map_index": 1, "state": "success"}},
        {"wait_ti": {"task": "copies", "map_index": 0, "state": "success"}},
        {"rest": {"method": "POST", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/makes/xcomEntries", "body": {"key": "by_rest", "value": {"a": [1, None]}}, "expect": 201}},
        {"rest": {"method": "POST", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/makes/xcomEntries", "body": {"key": "by_rest", "value": 1}, "expect": 409}},
        {"rest": {"method": "PATCH", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/makes/xcomEntries/return_value", "body": {"value": [7, 8, 9]}}},
        {"rest": {"method": "PATCH", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/copies/xcomEntries/return_value", "body": {"value": "changed", "map_index": 1}}},
        {"rest": {"method": "DELETE", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/copies/xcomEntries/return_value?map_index=0", "expect": 204}},
        {"rest": {"method": "POST", "path": "/dags/rest_xcoms/dagRuns/r1/taskInstances/reads/xcomEntries", "body": {"key": "early", "value": "text"}, "expect": 201}},
        {"touch": "go"},
        {"wait": "runs"},
        {"clear": {"task_ids": ["reads"], "include_downstream": True}},
        {"wait": "runs"},
    ],
}

with DAG("rest_xcoms", schedule=None):

    @task
    def makes():
        return [1, 2]

    @task
    def hold():
        gate("rest_xcoms")

    @task
    def copies(x):
        return x

    @task
    def reads(ti=None):
        pull = ti.xcom_pull
        return [pull(task_ids="makes", key="by_rest"), pull(task_ids="makes"), list(pull(task_ids="copies")), pull(task_ids="copies", map_indexes=0), pull(task_ids="reads", key="early")]

    @task
    def over(x):
        return x

    made = makes()
    held = hold()
    [held, copies.expand(x=made)] >> reads()
    later = over.expand(x=made)
    held >> later
