from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.exceptions import AirflowSkipException

CASE = {
    "about": "mapping over what does not fit: keyword arguments of the wrong kind, unknown, twice; results that are not pushed, no lists, or of skipped and failed tasks; maps and filters that raise or leave nothing",
    "limit": 250,
}


class Takes(BaseOperator):
    template_fields = ("a", "b")

    def __init__(self, a="a", b="b", **kw):
        super().__init__(**kw)
        self.a, self.b = a, b

    def execute(self, context):
        return [self.a, self.b]


VALUES = {
    "numbers": [1, 2], "empty": [], "mixed": [{"a": 1}, 2], "unknown": [{"nowhere": 1}], "both": [{"a": 1, "b": 2}, {}], "keys": {"x": {"a": 1}, "y": {"b": 2}},
    "number": 5, "text": "text", "tuples": (1, 2), "sets": {1, 2}, "nested": [[1], {"k": None}, None], "nones": [None, None], "int_keys": [{1: 2}], "twice": [{"a": 3}],
}

with DAG("bad_data", schedule=None):
    sources = {}
    for name in VALUES:

        @task(task_id=f"is_{name}")
        def source(name=name):
            return VALUES[name]

        sources[name] = source()

    @task
    def one(x):
        return repr(x)

    @task
    def two(x, y):
        return [x, y]

    @task
    def total(values):
        return len(list(values))

    for name in ("mixed", "unknown", "both", "keys", "numbers", "int_keys", "empty"):
        Takes.partial(task_id=f"kwargs_{name}").expand_kwargs(sources[name])
    Takes.partial(task_id="kwargs_twice", a=7).expand_kwargs(sources["twice"])
    for name in ("number", "text", "tuples", "sets", "nested", "nones"):
        one.override(task_id=f"over_{name}").expand(x=sources[name]) >> EmptyOperator(task_id=f"behind_{name}", trigger_rule="all_done")

    @task(do_xcom_push=False)
    def not_pushed():
        return [1]

    @task
    def skipped():
        raise AirflowSkipException("skipped")

    @task
    def failed():
        raise ValueError("failed")

    @task(multiple_outputs=True)
    def outputs():
        # In the order that PostgreSQL gives the keys of what it keeps as JSONB; SQLite keeps them as they are.
        return {"dict": {"k": "v"}, "list": [1, 2], "none": None}

    for source in (not_pushed(), skipped(), failed()):
        name = source.operator.task_id
        one.override(task_id=f"over_{name}").expand(x=source)
        one.override(task_id=f"over_{name}_anyway", trigger_rule="all_done").expand(x=source)
    one.override(task_id="over_outputs").expand(x=outputs())

    def breaks(x):
        raise ValueError(x)

    def odd(x):
        if x == 1:
            return x
        raise AirflowSkipException

    numbers = sources["numbers"]
    one.override(task_id="map_raises").expand(x=numbers.map(breaks))
    one.override(task_id="map_skips_one").expand(x=numbers.map(odd))
    one.override(task_id="filter_none").expand(x=numbers.map(lambda x: x if x > 1 else None).map(lambda x: x))
    one.override(task_id="zip_zero").expand(x=numbers.zip(sources["empty"]))
    one.override(task_id="zip_fill").expand(x=sources["empty"].zip(numbers, fillvalue=0))
    one.override(task_id="concat_zero").expand(x=sources["empty"].concat(sources["empty"]))
    two.override(task_id="product_zero").expand(x=numbers, y=sources["empty"]) >> EmptyOperator(task_id="behind_product", trigger_rule="none_failed")
    two.override(task_id="literal_dict").partial(y=1).expand(x={"k": 1, "l": [2]})
    total.override(task_id="of_zero", trigger_rule="all_done")(one.override(task_id="zero").expand(x=sources["empty"]))
    total.override(task_id="of_literal")(one.override(task_id="literal").expand(x=[numbers, "text"]))
    BashOperator.partial(task_id="templates", append_env=True).expand(bash_command=["echo {{ task_instance.map_index }}", "echo {{ nowhere.x }}"])
