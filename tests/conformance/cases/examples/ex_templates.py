CASE = {
    "about": "a tutorial with templates in decorated tasks",
    "batch": "examples",
    "example": ["airflow/example_dags/tutorial_taskflow_templates.py"],
    "prefix": "ex_templates_",
    "dags": ["tutorial_taskflow_templates"],
    "actions": [
        {"wait": {"dag": "tutorial_taskflow_templates", "count": 1}},
        {"wait": "runs"},
    ],
}
