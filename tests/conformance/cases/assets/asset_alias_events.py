import time

from airflow.sdk import DAG, Asset, AssetAlias, Metadata, task
CASE = {
    "about": "aliases: events through an alias, a consumer of the alias, one of an asset it resolves to, extra",
    "dags": ["asset_alias_events__producer", "asset_alias_events__consumer", "asset_alias_events__direct", "asset_alias_events__either"],
    "actions": [
        {"trigger": {"dag": "asset_alias_events__producer"}},
        {"wait": {"dag": "asset_alias_events__producer", "run": "r1"}},
        {"wait": {"dag": "asset_alias_events__direct", "count": 1}},
        {"sleep": 12},
        {"trigger": {"dag": "asset_alias_events__producer", "run": "r2"}},
        {"wait": {"dag": "asset_alias_events__producer", "run": "r2"}},
        {"wait": {"dag": "asset_alias_events__direct", "count": 2}},
        {"wait": {"dag": "asset_alias_events__consumer", "count": 1}},
        {"states": {"after": 4}},
    ],
    "mask": {"runs|asset_alias_events__consumer*|*": "how many events fall into one run depends on when the scheduler looks",
        "dags|*|queued_assets": "how many events fall into one run depends on when the scheduler looks",
        "runs|asset_alias_events__either*": "how many events fall into one run depends on when the scheduler looks",
        "log": "how many events fall into one run depends on when the scheduler looks",
        "asset_events|*|consumed_by": "how many events fall into one run depends on when the scheduler looks",
        "run_order|asset_alias_events__*": "how many events fall into one run depends on when the scheduler looks",
        "rendered": "how many events fall into one run depends on when the scheduler looks",
        "xcom": "how many events fall into one run depends on when the scheduler looks",
        "answers": "how many events fall into one run depends on when the scheduler looks"},
}
al = AssetAlias("asset_alias_events_al")
with DAG("asset_alias_events__producer", schedule=None):
    @task(outlets=[al])
    def make(outlet_events=None):
        outlet_events[al].add(Asset("asset_alias_events_one", uri="x-case://asset_alias_events/one"), extra={"n": 1})
        outlet_events[al].add(Asset("asset_alias_events_two", uri="x-case://asset_alias_events/two"))
    @task(outlets=[al, Asset("asset_alias_events_one", uri="x-case://asset_alias_events/one")])
    def both(outlet_events=None):
        # Stock looks once a second: an event that finds its asset queued would be left for the next one.
        time.sleep(4)
        yield Metadata(Asset("asset_alias_events_one", uri="x-case://asset_alias_events/one"), extra={"k": 2}, alias=al)
    make() >> both()
with DAG("asset_alias_events__consumer", schedule=[al], max_active_runs=1):
    @task(inlets=[al])
    def use(triggering_asset_events=None, inlet_events=None):
        return sorted(str(type(k).__name__) for k in triggering_asset_events)
    use()
with DAG("asset_alias_events__direct", schedule=[Asset("asset_alias_events_two", uri="x-case://asset_alias_events/two")], max_active_runs=1):
    @task
    def use2(triggering_asset_events=None):
        return sorted(str(k) for k in triggering_asset_events)
    use2()
with DAG("asset_alias_events__either", schedule=(al | Asset("asset_alias_events_three")), max_active_runs=1):
    @task
    def use3():
        pass
    use3()
