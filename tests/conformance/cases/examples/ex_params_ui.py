CASE = {
    "about": "every kind of param with its default",
    "batch": "examples",
    "example": ["airflow/example_dags/example_params_ui_tutorial.py"],
    "prefix": "ex_params_ui_",
    "dags": ["example_params_ui_tutorial"],
    "actions": [
        {"trigger": {"dag": "example_params_ui_tutorial", "conf": {"required_field": "given by the case"}}},
        {"wait": {"dag": "example_params_ui_tutorial", "count": 1}},
        {"wait": "runs"},
    ],
}
