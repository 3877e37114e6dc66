CASE = {
    "about": "params of every minute: what is parsed",
    "batch": "examples",
    "example": ["airflow/example_dags/example_passing_params_via_test_command.py"],
    "prefix": "ex_passing_params_",
    "dags": ["example_passing_params_via_test_command"],
    "unpause": [],
    "actions": [],
}
