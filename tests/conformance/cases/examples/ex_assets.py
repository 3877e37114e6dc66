CASE = {
    "about": "assets of a daily and of a manual producer, with and, or, and a timetable beside",
    "batch": "examples",
    "example": ["airflow/example_dags/example_assets.py"],
    "prefix": "ex_assets_",
    "dags": [
        "asset_produces_1",
        "asset_produces_2",
        "asset_consumes_1",
        "asset_consumes_1_and_2",
        "asset_consumes_1_never_scheduled",
        "asset_consumes_unknown_never_scheduled",
    ],
    "actions": [
        {"wait": {"dag": "asset_produces_1", "count": 1}},
        {"wait": {"dag": "asset_consumes_1", "count": 1}},
        {"trigger": {"dag": "asset_produces_2"}},
        {"wait": {"dag": "asset_produces_2", "count": 1}},
        {"wait": {"dag": "asset_consumes_1_and_2", "count": 1}},
        {"wait": "runs"},
    ],
}
