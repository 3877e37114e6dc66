CASE = {
    "about": "a marker of a task of another Dag, which is parsed only: its second sensor would wait for a group that is not there",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_external_task_marker_dag.py"],
    "prefix": "ex_external_marker_",
    "dags": ["example_external_task_marker_parent", "example_external_task_marker_child"],
    "unpause": ["example_external_task_marker_parent"],
    "actions": [
        {"wait": {"dag": "example_external_task_marker_parent", "count": 1}},
        {"wait": "runs"},
    ],
}
