from datetime import datetime

import jinja2
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.sdk import DAG, Param, task

CASE = {
    "about": "macros, filters, undefined names, native rendering; paused or not when made; branches over mapped tasks and groups by id; a short circuit on copies",
    "dags": ["dag_options", "dag_options__native", "dag_options__paused", "dag_options__branch"],
    "unpause": ["dag_options", "dag_options__native", "dag_options__branch"],
    "actions": [
        {"trigger": {"dag": "dag_options", "run": "r1", "conf": {"who": "me"}}},
        {"trigger": {"dag": "dag_options__native", "run": "r1"}},
        {"trigger": {"dag": "dag_options__branch", "run": "r1"}},
        {"trigger": {"dag": "dag_options__paused", "run": "r1"}},
        {"wait": {"dag": "dag_options", "run": "r1"}},
        {"wait": {"dag": "dag_options__native", "run": "r1"}},
        {"wait": {"dag": "dag_options__branch", "run": "r1"}},
        {"sleep": 2},
        {"states": {}},
    ],
}

MADE = {"schedule": None, "start_date": datetime(2024, 1, 1)}


def shout(text):
    return text.upper() + "!"


with DAG(
    "dag_options",
    **MADE,
    user_defined_macros={"twice": lambda x: x * 2, "constant": "c"},
    user_defined_filters={"shout": shout},
    template_undefined=jinja2.StrictUndefined,
    params={"level": Param(3, type="integer", minimum=1)},
    is_paused_upon_creation=False,
):
    BashOperator(task_id="macros", bash_command="echo {{ twice(params.level) }} {{ constant | shout }} {{ dag_run.conf['who'] }}")
    BashOperator(task_id="undefined", bash_command="echo {{ nowhere }}")

with DAG("dag_options__native", **MADE, render_template_as_native_obj=True):

    def kinds(a, b, c):
        return [type(a).__name__, type(b).__name__, type(c).__name__, b]

    PythonOperator(
        task_id="kinds",
        python_callable=kinds,
        op_kwargs={"a": "{{ 1 + 1 }}", "b": "{{ {'x': [1, 2]} }}", "c": "{{ dag_run.run_id }} text"},
    )

with DAG("dag_options__paused", **MADE, is_paused_upon_creation=True):
    EmptyOperator(task_id="t")

with DAG("dag_options__branch", **MADE):

    @task
    def one(x):
        return x

    chosen = one.override(task_id="chosen").expand(x=[1, 2])
    left_out = one.override(task_id="left_out").expand(x=[1, 2])
    BranchPythonOperator(task_id="branch", python_callable=lambda: "chosen") >> [chosen, left_out]
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    [chosen, left_out] >> join

    circuit = ShortCircuitOperator.partial(task_id="circuit", python_callable=bool, ignore_downstream_trigger_rules=False).expand(
        op_args=[[1], [0]]
    )
    circuit >> one.override(task_id="behind", trigger_rule="all_done")(1)
    circuit >> EmptyOperator(task_id="strict")
