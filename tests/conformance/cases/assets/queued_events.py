from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, Metadata, task

CASE = {
    "about": "queued asset events deleted one by one, of a Dag, of an asset; a consumer paused meanwhile, one whose run limit is reached, one that is triggered by hand; an alias before anything is known of it, an alias with an asset",
    "dags": ["queued_events__both", "queued_events__paused", "queued_events__alias", "queued_events__mixed", "queued_events__producer"],
    "unpause": ["queued_events__both", "queued_events__alias", "queued_events__mixed", "queued_events__producer"],
    "actions": [
        {"asset_event": {"asset": "queued_events_a", "extra": {"n": 1}}},
        {"note": {"sql_name": "queued", "sql": "select target_dag_id, a.name from asset_dag_run_queue q join asset a on a.id = q.asset_id where a.name like 'queued_events%' order by 1, 2"}},
        {"rest": {"method": "DELETE", "path": "/dags/queued_events__both/assets/queuedEvents", "expect": 204}},
        {"asset_event": {"asset": "queued_events_b", "extra": {"n": 2}}},
        {"states": {"after": 3}},
        {"note": {"sql_name": "queued", "sql": "select target_dag_id, a.name from asset_dag_run_queue q join asset a on a.id = q.asset_id where a.name like 'queued_events%' order by 1, 2"}},
        {"trigger": {"dag": "queued_events__both", "run": "by_hand"}},
        {"wait": {"dag": "queued_events__both", "run": "by_hand"}},
        {"note": {"sql_name": "queued", "sql": "select target_dag_id, a.name from asset_dag_run_queue q join asset a on a.id = q.asset_id where a.name like 'queued_events%' order by 1, 2"}},
        {"asset_event": {"asset": "queued_events_a", "extra": {"n": 3}}},
        {"wait": {"dag": "queued_events__both", "count": 2}},
        {"trigger": {"dag": "queued_events__producer"}},
        {"wait": {"dag": "queued_events__producer"}},
        {"wait": {"dag": "queued_events__alias", "count": 1}},
        {"states": {"after": 3}},
        {"asset_event": {"asset": "queued_events_c"}},
        {"wait": {"dag": "queued_events__mixed", "count": 1}},
        {"unpause": "queued_events__paused"},
        {"states": {"after": 3}},
        {"asset_event": {"asset": "queued_events_b", "extra": {"n": 4}}},
        {"states": {"after": 3}},
        {"asset_event": {"asset": "queued_events_a", "extra": {"n": 5}}},
        {"wait": {"dag": "queued_events__paused", "count": 1}},
        {"wait": {"dag": "queued_events__both", "count": 3}},
        {"sleep": 3},
    ],
    "limit": 200,
}

A, B, C = (Asset(f"queued_events_{k}", uri=f"x-case://queued_events/{k}") for k in "abc")
ALIAS = AssetAlias("queued_events_alias")

for name, schedule in (("both", [A, B]), ("paused", [A, B]), ("alias", [ALIAS]), ("mixed", ALIAS & C)):
    with DAG(f"queued_events__{name}", schedule=schedule, max_active_runs=1):

        @task
        def t(triggering_asset_events=None, dag_run=None):
            return [sorted([str(getattr(k, "name", k)), sorted(str(e.extra) for e in v)] for k, v in triggering_asset_events.items()), dag_run.run_type]

        t()

with DAG("queued_events__producer", schedule=None):

    @task(outlets=[ALIAS])
    def make():
        yield Metadata(Asset("queued_events_new", uri="x-case://queued_events/new"), extra={"by": "alias"}, alias=ALIAS)

    make()
