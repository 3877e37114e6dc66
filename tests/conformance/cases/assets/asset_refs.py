from airflow.sdk import DAG, Asset, task
from airflow.providers.standard.operators.empty import EmptyOperator
CASE = {
    "about": "schedules by asset name and uri references; the same asset for three consumers, one paused, one with both",
    "dags": ["asset_refs__p", "asset_refs__by_name", "asset_refs__by_uri", "asset_refs__paused", "asset_refs__two"],
    "unpause": ["asset_refs__p", "asset_refs__by_name", "asset_refs__by_uri", "asset_refs__two"],
    "actions": [
        {"sleep": 3},
        {"trigger": {"dag": "asset_refs__p", "run": "r1", "conf": {"v": 1}}},
        {"wait": {"dag": "asset_refs__by_name", "count": 1}},
        {"wait": {"dag": "asset_refs__by_uri", "count": 1}},
        {"states": {"after": 4}},
        {"unpause": "asset_refs__paused"},
        {"states": {"after": 4}},
        {"asset_event": {"asset": "asset_refs_b", "extra": {"rest": 1}}},
        {"wait": {"dag": "asset_refs__two", "count": 1}},
        {"wait": "runs"},
        {"sleep": 2},
    ],
}
a, b = Asset("asset_refs_a", uri="x-case://asset_refs/a"), Asset("asset_refs_b", uri="x-case://asset_refs/b")
with DAG("asset_refs__p", schedule=None):
    @task(outlets=[a])
    def p(outlet_events=None, dag_run=None):
        outlet_events[a].extra = dag_run.conf
    p()
def c(name, schedule):
    with DAG(f"asset_refs__{name}", schedule=schedule, max_active_runs=1):
        @task(inlets=[a])
        def t(triggering_asset_events=None, inlet_events=None):
            return [sorted([k.name, [e.extra for e in v]] for k, v in triggering_asset_events.items()), len(inlet_events[a])]
        t()
c("by_name", [Asset.ref(name="asset_refs_a")])
c("by_uri", [Asset.ref(uri="x-case://asset_refs/a")])
c("paused", [a])
c("two", a & b)
