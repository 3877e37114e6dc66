from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, Metadata, task

CASE = {
    "about": "Metadata yielded by tasks: extra of an asset, two of one asset, through an alias, of an inlet's last event, of a mapped task",
    "dags": ["asset_metadata", "asset_metadata__reads", "asset_metadata__consumer"],
    "actions": [
        {"trigger": {"dag": "asset_metadata", "run": "r1"}},
        {"wait": {"dag": "asset_metadata", "run": "r1"}},
        {"wait": {"dag": "asset_metadata__consumer", "count": 1}},
        {"trigger": {"dag": "asset_metadata__reads", "run": "r1"}},
        {"wait": {"dag": "asset_metadata__reads", "run": "r1"}},
    ],
    "mask": {
        "asset_events|*|consumed_by": "how many events fall into one run depends on the load of the machine",
        "runs|asset_metadata__consumer*": "as above", "run_order|asset_metadata__consumer": "as above",
    },
}

plain, twice, aliased = (Asset(f"asset_metadata_{x}", uri=f"x-case://asset_metadata/{x}") for x in ("plain", "twice", "aliased"))

with DAG("asset_metadata", schedule=None):

    @task(outlets=[plain])
    def yields():
        yield Metadata(plain, {"rows": 3, "nested": {"a": [1, None]}})

    @task(outlets=[twice])
    def yields_twice(*, outlet_events=None):
        outlet_events[twice].extra = {"first": True}
        yield Metadata(twice, {"second": True})

    @task(outlets=[AssetAlias("asset_metadata_alias")])
    def through_alias():
        yield Metadata(aliased, {"through": "alias"}, alias=AssetAlias("asset_metadata_alias"))

    yields() >> yields_twice() >> through_alias()

with DAG("asset_metadata__consumer", schedule=[plain]):
    EmptyOperator(task_id="t")

with DAG("asset_metadata__reads", schedule=None):

    @task(inlets=[plain, twice, AssetAlias("asset_metadata_alias")])
    def reads(*, inlet_events=None):
        alias = inlet_events[AssetAlias("asset_metadata_alias")]
        return [inlet_events[plain][-1].extra, inlet_events[twice][-1].extra, [event.extra for event in alias]]

    reads()
