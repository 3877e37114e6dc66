from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Label, TaskGroup, task

LONG = "odd_names__llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
# What is too long for its column is not on SQLite.
CASE = {
    "db": ["postgres"],
    "state_mismatch": True,
    "about": "names: long ones, other alphabets, dots and dashes, run ids with odd characters, an index template over the limit, the longest keys of XComs",
    "dags": ["odd_names", "odd_names__llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll", "odd_names__ünï.cödé-日本"],
    "actions": [
        {"trigger": {"run": "a.b+c:d~20"}},
        {"trigger": {"run": "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"}},
        {"trigger": {"run": "with/slash", "expect": 400}},
        {"trigger": {"run": "a b ü", "expect": 400}},
        {"trigger": {"run": "..", "expect": 400}},
        {"trigger": {"dag": "odd_names__llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"}},
        {"trigger": {"dag": "odd_names__ünï.cödé-日本", "run": "r1"}},
        {"wait": "runs"},
        {"clear": {"dag": "odd_names__ünï.cödé-日本", "run": "r1", "task_ids": ["gr-ß.täsk"]}},
        {"wait": "runs"},
    ],
}

with DAG("odd_names", schedule=None):

    @task(map_index_template="{{ 'i' * 300 + (task.op_kwargs['x'] | string) }}")
    def copies(x, ti=None):
        ti.xcom_push(key="k" * 512, value=x)
        return x

    @task
    def reads(ti=None):
        return list(ti.xcom_pull(task_ids="copies", key="k" * 512))

    @task(map_index_template="{{ nowhere.at.all }}")
    def bad_template(x):
        return x

    copies.expand(x=[1, 2]) >> reads()
    bad_template.expand(x=[1])

with DAG(LONG, schedule=None):
    EmptyOperator(task_id="t" * 250)

with DAG("odd_names__ünï.cödé-日本", schedule=None, dag_display_name="shown 日本"):
    with TaskGroup("gr-ß"):

        @task(task_id="täsk", task_display_name="Tä sk")
        def f(ti=None):
            return [ti.task_id, ti.dag_id, ti.run_id]

        f() >> Label("é") >> EmptyOperator(task_id="e-1.2_3")
