from airflow.sdk import DAG, Asset, task
CASE = {
    "about": "a chain of three Dags by assets; a producer that is cleared sends again; a consumer run is cleared and keeps its events; one source run is deleted",
    "dags": ["asset_chain_cleared__a", "asset_chain_cleared__b", "asset_chain_cleared__c"],
    "actions": [
        {"trigger": {"dag": "asset_chain_cleared__a"}},
        {"wait": {"dag": "asset_chain_cleared__c", "count": 1}},
        {"clear": {"dag": "asset_chain_cleared__a", "task_ids": ["t"]}},
        {"wait": {"dag": "asset_chain_cleared__c", "count": 2}},
        {"wait": "runs"},
        {"delete_run": {"dag": "asset_chain_cleared__a"}},
        {"trigger": {"dag": "asset_chain_cleared__a", "run": "r2"}},
        {"wait": {"dag": "asset_chain_cleared__c", "count": 3}},
    ],
}
x, y = Asset("asset_chain_cleared_x"), Asset("asset_chain_cleared_y")
def d(name, schedule, outlets):
    with DAG(f"asset_chain_cleared__{name}", schedule=schedule):
        @task(outlets=outlets)
        def t(triggering_asset_events=None):
            return sorted([k.name, len(v)] for k, v in triggering_asset_events.items())
        t()
d("a", None, [x]); d("b", [x], [y]); d("c", [y], [])
