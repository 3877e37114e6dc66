from airflow.sdk import DAG, Asset, task
CASE = {
    "about": "a chain of three Dags by assets; a producer that is cleared sends again; a consumer run is cleared and keeps its events; one source run is deleted",
    "dags": ["cleared_asset_chain__a", "cleared_asset_chain__b", "cleared_asset_chain__c"],
    "actions": [
        {"trigger": {"dag": "cleared_asset_chain__a"}},
        {"wait": {"dag": "cleared_asset_chain__c", "count": 1}},
        {"clear": {"dag": "cleared_asset_chain__a", "task_ids": ["t"]}},
        {"wait": {"dag": "cleared_asset_chain__c", "count": 2}},
        {"wait": "runs"},
        {"delete_run": {"dag": "cleared_asset_chain__a"}},
        {"trigger": {"dag": "cleared_asset_chain__a", "run": "r2"}},
        {"wait": {"dag": "cleared_asset_chain__c", "count": 3}},
    ],
}
x, y = Asset("cleared_asset_chain_x"), Asset("cleared_asset_chain_y")
def d(name, schedule, outlets):
    with DAG(f"cleared_asset_chain__{name}", schedule=schedule):
        @task(outlets=outlets)
        def t(triggering_asset_events=None):
            return sorted([k.name, len(v)] for k, v in triggering_asset_events.items())
        t()
d("a", None, [x]); d("b", [x], [y]); d("c", [y], [])
