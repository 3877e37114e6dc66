CASE = {
    "about": "functions as tasks, with coroutines and environments: what is parsed",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_python_operator.py"],
    "prefix": "ex_python_operator_",
    "dags": ["example_python_operator"],
    "unpause": [],
    "actions": [],
    "mask": {"serialized|*|dag|tasks|*|__var|template_fields": "a set of Python's, in another order in each process"},
}
