CASE = {
    "about": "an operator that skips, and what joins after it",
    "batch": "examples",
    "example": ["airflow/example_dags/example_skip_dag.py"],
    "prefix": "ex_skip_",
    "dags": ["example_skip_dag"],
    "actions": [
        {"wait": {"dag": "example_skip_dag", "count": 1}},
        {"wait": "runs"},
    ],
}
