import time
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, Connection, Variable, task
from conformance_witness import inside, say

CASE = {
    "about": "tasks under other settings: retries, delays, weights, time limits, owners, queues and deferring by default, two at once, XComs of a backend, secrets of a backend and the environment, short templates, rendered fields of the last run only",
    "batch": "settings",
    "dags": ["set_tasks", "set_tasks__once"],
    "actions": [
        {"set_variable": {"settings_secret": "by the database", "settings_env": "by the database", "settings_plain": "by the database"}},
        {"trigger": {"logical_date": "2024-01-01T00:00:00Z"}}, {"wait": "runs"},
        {"trigger": {"run": "r2", "logical_date": "2024-01-02T00:00:00Z"}}, {"wait": "runs"},
        {"trigger": {"dag": "set_tasks__once"}}, {"wait": "runs"},
    ],
    "limit": 250,
}


def ask(f):
    try:
        return f()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"


with DAG("set_tasks", schedule=None):

    @task
    def retried(ti=None):
        say("set_tasks", f"retried {ti.try_number} of {ti.max_tries + 1}")
        if ti.try_number == 1:
            raise ValueError("once")
        return "second"

    @task(retries=0, execution_timeout=None)
    def fails():
        raise ValueError("always")

    @task
    def values():
        Variable.set("settings_written", "by a task")
        return [ask(lambda name=name: Variable.get(f"settings_{name}")) for name in ("secret", "env", "plain", "written", "none")] + [
            ask(lambda name=name: Connection.get(f"settings_{name}").get_uri()) for name in ("secret", "env", "none")
        ]

    @task
    def copies(x):
        return x

    @task
    def total(values, ti=None):
        return [list(values), ti.xcom_pull(task_ids="retried"), ti.xcom_pull(task_ids="nowhere"), list(ti.xcom_pull(task_ids="copies"))]

    retried() >> total(copies.expand(x=copies.override(task_id="first")([1, 2])))
    BashOperator(task_id="templates", bash_command="echo {{ ds }} {{ run_id }} {{ ts }} {{ var.value.settings_env }} {{ conn.settings_secret.host }} {{ 'x' * 200 }}")
    fails() >> EmptyOperator(task_id="behind", priority_weight=5)
    values()
    TimeDeltaSensor(task_id="deferred", delta=timedelta(hours=1))

with DAG("set_tasks__once", schedule=None):

    @task(retries=0)
    def slow():
        time.sleep(60)

    @task
    def held(x):
        inside("set_tasks", "held", want=2)

    held.expand(x=[1, 2, 3, 4]) >> slow()
