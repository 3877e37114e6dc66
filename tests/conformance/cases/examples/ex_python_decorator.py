CASE = {
    "about": "the same with decorators: what is parsed",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_python_decorator.py"],
    "prefix": "ex_python_decorator_",
    "dags": ["example_python_decorator"],
    "unpause": [],
    "actions": [],
    "mask": {"serialized|*|dag|tasks|*|__var|template_fields": "a set of Python's, in another order in each process"},
}
