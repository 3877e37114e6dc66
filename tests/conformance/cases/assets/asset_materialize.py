from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, asset, AssetAll, AssetAny, task
CASE = {
    "about": "materialise an asset of a Dag and of an @asset, with conf; one with no producer and two producers are refused; nested conditions",
    "dags": ["asset_materialize__p", "asset_materialize__p2", "asset_materialize__cond", "asset_materialize_x"],
    "actions": [
        {"materialize": {"asset": "asset_materialize_a", "conf": {"k": 1}}},
        {"wait": {"dag": "asset_materialize__p", "count": 1}},
        {"materialize": {"asset": "asset_materialize_x", "dag_run_id": "mat1", "note": "hello"}},
        {"wait": {"dag": "asset_materialize_x", "count": 1}},
        {"asset_event": {"asset": "asset_materialize_c"}},
        {"states": {"after": 4}},
        {"asset_event": {"asset": "asset_materialize_d"}},
        {"wait": {"dag": "asset_materialize__cond", "count": 1}},
        {"asset_event": {"asset": "asset_materialize_c"}},
        {"asset_event": {"asset": "asset_materialize_b"}},
        {"states": {"after": 4}},
        {"rest": {"method": "DELETE", "path": "/dags/asset_materialize__cond/assets/queuedEvents?before=2199-01-01T00:00:00Z"}},
        {"asset_event": {"asset": "asset_materialize_d"}},
        {"states": {"after": 4}},
    ],
}
A, B, C, D = (Asset(f"asset_materialize_{k}", uri=f"x-case://asset_materialize/{k}") for k in "abcd")
with DAG("asset_materialize__p", schedule=None):
    @task(outlets=[A])
    def t(dag_run=None):
        return dag_run.conf
    t()
with DAG("asset_materialize__p2", schedule=None):
    EmptyOperator(task_id="t", outlets=[B])
with DAG("asset_materialize__cond", schedule=AssetAll(C, AssetAny(AssetAll(A, B), D))):
    EmptyOperator(task_id="t")
@asset(schedule=None, uri="x-case://asset_materialize/x", group="model")
def asset_materialize_x(self, context):
    return context["dag_run"].note
