CASE = {
    "about": "extra of asset events, in three ways",
    "batch": "examples",
    "example": ["airflow/example_dags/example_outlet_event_extra.py"],
    "prefix": "ex_outlet_extra_",
    "dags": ["asset_with_extra_by_yield", "asset_with_extra_by_context", "asset_with_extra_from_classic_operator"],
    "actions": [
        {"wait": {"dag": "asset_with_extra_by_yield", "count": 1}},
        {"wait": {"dag": "asset_with_extra_by_context", "count": 1}},
        {"wait": {"dag": "asset_with_extra_from_classic_operator", "count": 1}},
        {"wait": "runs"},
    ],
}
