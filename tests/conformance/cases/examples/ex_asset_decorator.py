CASE = {
    "about": "assets as functions",
    "batch": "examples",
    "example": ["airflow/example_dags/example_asset_decorator.py"],
    "prefix": "ex_asset_decorator_",
    "dags": ["asset1_producer", "asset2_producer", "consumes_asset_decorator"],
    "actions": [
        {"trigger": {"dag": "asset1_producer"}},
        {"wait": {"dag": "asset1_producer", "count": 1}},
        {"wait": {"dag": "consumes_asset_decorator", "count": 1}},
        {"trigger": {"dag": "asset2_producer"}},
        {"wait": {"dag": "asset2_producer", "count": 1}},
        {"wait": "runs"},
    ],
}
