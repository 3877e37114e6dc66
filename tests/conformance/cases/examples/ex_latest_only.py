CASE = {
    "about": "latest only, every four hours",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_latest_only.py"],
    "prefix": "ex_latest_only_",
    "dags": ["latest_only"],
    "actions": [
        {"wait": {"dag": "latest_only", "count": 1}},
        {"wait": "runs"},
    ],
}
