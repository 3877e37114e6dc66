CASE = {
    "about": "state of a task that runs coroutines",
    "batch": "examples",
    "example": ["airflow/example_dags/example_task_state_store_async.py"],
    "prefix": "ex_state_async_",
    "dags": ["example_task_state_store_async"],
    "actions": [
        {"trigger": {"dag": "example_task_state_store_async"}},
        {"wait": {"dag": "example_task_state_store_async", "count": 1}},
        {"wait": "runs"},
    ],
}
