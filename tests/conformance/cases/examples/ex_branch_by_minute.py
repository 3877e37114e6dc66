CASE = {
    "about": "every minute: what is parsed",
    "batch": "examples",
    "example": ["airflow/example_dags/example_branch_python_dop_operator_3.py"],
    "prefix": "ex_branch_by_minute_",
    "dags": ["example_branch_dop_operator_v3"],
    "unpause": [],
    "actions": [],
}
