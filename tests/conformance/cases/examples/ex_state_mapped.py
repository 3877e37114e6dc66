CASE = {
    "about": "state of mapped tasks",
    "batch": "examples",
    "example": ["airflow/example_dags/example_task_state_store_mapped.py"],
    "prefix": "ex_state_mapped_",
    "dags": ["example_task_state_store_mapped"],
    "actions": [
        {"trigger": {"dag": "example_task_state_store_mapped"}},
        {"wait": {"dag": "example_task_state_store_mapped", "count": 1}},
        {"wait": "runs"},
    ],
    "mask": {
        "task_state_store|*|*|result|row_count": "a random number",
        "xcom|*|*|row_count": "as above", "xcom|*|*|return_value|row_count": "as above",
    },
}
