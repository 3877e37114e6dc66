CASE = {
    "about": "branches whose choice is random: what is parsed",
    "batch": "examples",
    "example": ["airflow/providers/standard/example_dags/example_branch_operator.py"],
    "prefix": "ex_branch_random_",
    "dags": ["example_branch_operator"],
    "unpause": [],
    "actions": [],
    "mask": {"serialized|*|dag|tasks|*|__var|template_fields": "a set of Python's, in another order in each process"},
}
