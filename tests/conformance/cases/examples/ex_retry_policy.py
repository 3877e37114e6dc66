CASE = {
    "about": "policies of retries: what is parsed",
    "batch": "examples",
    "example": ["airflow/example_dags/example_retry_policy.py"],
    "prefix": "ex_retry_policy_",
    "dags": ["example_retry_policy"],
    "unpause": [],
    "actions": [],
}
