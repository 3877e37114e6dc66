from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate

CASE = {"about": "a task added, one removed, one made mapped, one changed from mapped, in the middle of a run", "limit": 200,
        "actions": [{"trigger": {}}, {"wait_ti": {"task": "hold", "state": "running"}},
                    {"wait_ti": {"task": "late2", "state": None}},
                    {"replace": {"old": "GEN = 1", "new": "GEN = 2"}},
                    {"wait_sql": {"sql": "select count(*) from dag_version where dag_id = 'version_mid_run'", "equals": 2}},
                    {"wait_ti": {"task": "added", "state": "success"}},
                    {"states": {}},
                    {"touch": "go"}, {"wait": "runs"},
                    {"replace": {"old": "GEN = 2", "new": "GEN = 1"}},
                    {"wait_sql": {"sql": "select count(*) from dag_version where dag_id = 'version_mid_run'", "equals": 3}},
                    {"clear": {"task_ids": ["hold"], "include_downstream": True}}, {"wait": "runs"}],
}
GEN = 1
with DAG("version_mid_run", schedule=None):
    @task
    def hold():
        gate("version_mid_run", "go")
    h = hold()

    @task
    def late(x=0):
        return x
    if GEN == 1:
        h >> late()
        h >> EmptyOperator(task_id="late2")
        late.override(task_id="becomes").expand(x=[1, 2]) << h
        late.override(task_id="shrinks").expand(x=[1, 2, 3]) << h
    else:
        late.override(task_id="late").expand(x=[5, 6]) << h
        EmptyOperator(task_id="added")
        h >> EmptyOperator(task_id="added_below")
        h >> late.override(task_id="becomes")()
        late.override(task_id="shrinks").expand(x=[1]) << h
