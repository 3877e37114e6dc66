from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, is_open

CASE = {"about": "clear and expand again with another length (shorter, longer, zero), clear of single map indexes, marks of single ones, while the run runs", "limit": 250,
        "dags": ["map_cleared", "map_cleared__run"],
        "actions": [
            {"trigger": {"dag": "map_cleared"}}, {"wait": "runs"},
            {"touch": "long"}, {"clear": {"task_ids": ["src"], "include_downstream": True}}, {"wait": "runs"}, {"states": {}},
            {"touch": "short"}, {"clear": {"task_ids": ["src"], "include_downstream": True}}, {"wait": "runs"}, {"states": {}},
            {"touch": "zero"}, {"clear": {"task_ids": ["src"], "include_downstream": True}}, {"wait": "runs"}, {"states": {}},
            {"trigger": {"dag": "map_cleared__run"}},
            {"wait_ti": {"dag": "map_cleared__run", "task": "m", "map_index": 0, "state": "failed"}},
            {"wait_ti": {"dag": "map_cleared__run", "task": "m", "map_index": 1, "state": "failed"}},
            {"wait_ti": {"dag": "map_cleared__run", "task": "end", "state": "upstream_failed"}},
            {"patch_ti": {"dag": "map_cleared__run", "task": "m", "map_index": 0, "state": "success"}},
            {"touch": "fixed"},
            {"clear": {"dag": "map_cleared__run", "task_ids": [["m", 1]], "include_downstream": True}},
            {"wait_ti": {"dag": "map_cleared__run", "task": "m", "map_index": 1, "state": "success"}},
            {"wait_ti": {"dag": "map_cleared__run", "task": "end", "state": "success"}},
            {"patch_ti": {"dag": "map_cleared__run", "task": "m", "map_index": 2, "state": "skipped"}},
            {"touch": "hold"}, {"wait": "runs"}]}

with DAG("map_cleared", schedule=None):
    @task
    def src():
        for name, n in (("zero", 0), ("short", 1), ("long", 4)):
            if is_open("map_cleared", name):
                return list(range(n))
        return [1, 2]

    @task
    def m(x):
        return x
    m.expand(x=src()) >> EmptyOperator(task_id="end")

with DAG("map_cleared__run", schedule=None):
    @task(task_id="m")
    def m2(x):
        if x < 2 and not is_open("map_cleared", "fixed"):
            raise ValueError(str(x))
        return x

    @task
    def hold():
        gate("map_cleared", "hold")
    hold()
    m2.expand(x=[0, 1, 2]) >> EmptyOperator(task_id="end")
