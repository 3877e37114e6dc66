CASE = {
    "about": "latest only, and a rule that ignores it",
    "batch": "examples",
    "example": ["airflow/example_dags/example_latest_only_with_trigger.py"],
    "prefix": "ex_latest_only_rules_",
    "dags": ["latest_only_with_trigger"],
    "actions": [
        {"wait": {"dag": "latest_only_with_trigger", "count": 1}},
        {"wait": "runs"},
    ],
}
