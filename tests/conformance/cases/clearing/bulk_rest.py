from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import is_open

CASE = {
    "about": "many at once by REST: task instances marked and deleted, runs marked, cleared and deleted; one task instance deleted in a run that runs",
    "actions": [
        {"trigger": {"run": "r1"}},
        {"trigger": {"run": "r2"}},
        {"trigger": {"run": "r3"}},
        {"wait": "runs"},
        {"rest": {"method": "PATCH", "path": "/dags/bulk_rest/dagRuns/r1/taskInstances", "body": {"actions": [
            {"action": "update", "entities": [{"task_id": "bad", "new_state": "success", "note": "mended"}, {"task_id": "copies", "map_index": 1, "new_state": "failed"}]}]}}},
        {"sleep": 1}, {"wait": "runs"}, {"states": {}},
        {"rest": {"method": "PATCH", "path": "/dags/bulk_rest/dagRuns/r2/taskInstances", "body": {"actions": [
            {"action": "delete", "entities": [{"task_id": "copies", "map_index": 0}, {"task_id": "behind"}]},
            {"action": "update", "entities": [{"task_id": "bad", "new_state": "skipped", "include_downstream": True}]}]}}},
        {"sleep": 1}, {"wait": "runs"}, {"states": {}},
        {"clear": {"run": "r2", "task_ids": ["first"], "include_downstream": True}},
        {"wait": "runs"},
        {"touch": "good"},
        {"rest": {"method": "POST", "path": "/dags/bulk_rest/clearDagRuns", "body": {"dag_runs": [{"dag_run_id": "r1"}, {"dag_run_id": "r3"}], "dry_run": False, "only_failed": True, "note": "both"}}},
        {"sleep": 3}, {"wait": "runs"},
        {"rest": {"method": "PATCH", "path": "/dags/bulk_rest/dagRuns", "body": {"actions": [
            {"action": "update", "entities": [{"dag_run_id": "r1", "state": "failed", "note": "n"}, {"dag_run_id": "r2", "state": "queued"}]}]}}},
        {"sleep": 3}, {"wait": "runs"},
        {"rest": {"method": "PATCH", "path": "/dags/bulk_rest/dagRuns", "body": {"actions": [{"action": "delete", "entities": ["r3"]}]}}},
        {"sleep": 2},
    ],
    "limit": 250,
}

with DAG("bulk_rest", schedule=None):

    @task
    def bad():
        if not is_open("bulk_rest", "good"):
            raise ValueError("not yet")

    @task
    def copies(x):
        return x

    first = EmptyOperator(task_id="first")
    first >> copies.expand(x=[1, 2]) >> EmptyOperator(task_id="behind")
    first >> bad() >> EmptyOperator(task_id="end")
