CASE = {
    "about": "decorated branches whose choice is random: what is parsed",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_branch_operator_decorator.py"],
    "prefix": "ex_branch_random_decorator_",
    "dags": ["example_branch_python_operator_decorator"],
    "unpause": [],
    "actions": [],
    "mask": {"serialized|*|dag|tasks|*|__var|template_fields": "a set of Python's, in another order in each process"},
}
