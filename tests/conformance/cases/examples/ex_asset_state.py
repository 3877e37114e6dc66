CASE = {
    "about": "state of an asset between runs",
    "batch": "examples",
    "example": ["airflow/example_dags/example_asset_state_store.py"],
    "prefix": "ex_asset_state_",
    "dags": ["example_asset_state_store_producer", "example_asset_state_store_consumer"],
    "actions": [
        {"trigger": {"dag": "example_asset_state_store_producer"}},
        {"wait": {"dag": "example_asset_state_store_producer", "count": 1}},
        {"wait": {"dag": "example_asset_state_store_consumer", "count": 1}},
        {"wait": "runs"},
    ],
    "mask": {"xcom|example_asset_state_store_producer/r1|load|return_value": "a random number"},
}
