from airflow.sdk import DAG, Asset, task, Metadata
from airflow.providers.standard.operators.empty import EmptyOperator
CASE = {
    "about": "outlets of mapped tasks with extra; a consumer with max_active_runs 1 and one paused; marking success sends no event",
    "dags": ["asset_mapped_outlets__p", "asset_mapped_outlets__c"],
    "unpause": ["asset_mapped_outlets__p"],
    "actions": [
        {"trigger": {"dag": "asset_mapped_outlets__p"}},
        {"wait": {"dag": "asset_mapped_outlets__p"}},
        {"patch_ti": {"dag": "asset_mapped_outlets__p", "task": "bad", "state": "success"}},
        {"sleep": 3},
        {"asset_event": {"asset": "asset_mapped_outlets_a", "extra": {"r": 1}}},
        {"unpause": "asset_mapped_outlets__c"},
        {"states": {"after": 4}},
        {"asset_event": {"asset": "asset_mapped_outlets_a", "extra": {"r": 2}}},
        {"wait": {"dag": "asset_mapped_outlets__c", "count": 1}},
        {"sleep": 2},
        {"asset_event": {"asset": "asset_mapped_outlets_a", "extra": {"r": 3}}},
        {"wait": {"dag": "asset_mapped_outlets__c", "count": 2}},
    ],
}
a = Asset("asset_mapped_outlets_a", uri="x-case://asset_mapped_outlets/a")
with DAG("asset_mapped_outlets__p", schedule=None):
    @task(outlets=[a])
    def m(x):
        yield Metadata(a, extra={"x": x})
    m.expand(x=[1, 2, 3])
    @task(outlets=[a])
    def bad():
        raise ValueError("x")
    bad()
with DAG("asset_mapped_outlets__c", schedule=[a], max_active_runs=1):
    @task
    def t(triggering_asset_events=None):
        return sorted(str(e.extra) for v in triggering_asset_events.values() for e in v)
    t()
