CASE = {
    "about": "branches by the time of the day and of the run",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_branch_datetime_operator.py"],
    "prefix": "ex_branch_datetime_",
    "dags": [
        "example_branch_datetime_operator",
        "example_branch_datetime_operator_2",
        "example_branch_datetime_operator_3",
    ],
    "actions": [
        {"wait": {"dag": "example_branch_datetime_operator", "count": 1}},
        {"wait": {"dag": "example_branch_datetime_operator_2", "count": 1}},
        {"wait": {"dag": "example_branch_datetime_operator_3", "count": 1}},
        {"wait": "runs"},
    ],
}
