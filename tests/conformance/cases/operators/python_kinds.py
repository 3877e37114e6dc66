import sys

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchExternalPythonOperator, ExternalPythonOperator, PythonOperator, get_current_context
from airflow.sdk import DAG, task
from conformance_witness import say

CASE = {
    "about": "functions in an interpreter of their own: arguments, results, skips by exit code, errors, branches, a python that is not there; generators and coroutines, the decorator's options",
    "limit": 200,
    "mask": {"serialized|python_kinds|dag|tasks|*|__var|template_fields": "the provider makes them of a set, whose order is a matter of chance"},
    "actions": [{"trigger": {"logical_date": "2024-01-01T00:00:00Z", "conf": {"x": 1}}}, {"wait": "runs"}],
}
EXTERNAL = {"python": sys.executable, "expect_airflow": False}


def adds(a, b=2, *, ds=None):
    return {"sum": a + b, "ds": ds}


def exits(code):
    import sys

    sys.exit(code)


def left():
    return "left"


with DAG("python_kinds", schedule=None, params={"p": 3}, render_template_as_native_obj=True):
    ExternalPythonOperator(task_id="adds", python_callable=adds, op_args=["{{ params.p }}"], op_kwargs={"b": "{{ dag_run.conf.x }}"}, **EXTERNAL)
    ExternalPythonOperator(task_id="skips", python_callable=exits, op_args=[42], skip_on_exit_code=[41, 42], **EXTERNAL)
    ExternalPythonOperator(task_id="fails", python_callable=exits, op_args=[43], skip_on_exit_code=42, **EXTERNAL)
    ExternalPythonOperator(task_id="nowhere", python_callable=left, python="/nowhere/python", expect_airflow=False)
    BranchExternalPythonOperator(task_id="branch", python_callable=left, **EXTERNAL) >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")]

    @task.external_python(**EXTERNAL, multiple_outputs=True)
    def outputs():
        print("to the log")
        return {"a": 1, "b": [2]}

    @task.branch_external_python(**EXTERNAL)
    def chooses():
        return []

    chooses() >> EmptyOperator(task_id="not_chosen")

    @task
    def generates():
        yield 1
        yield 2

    @task
    async def awaits(x):
        import asyncio

        await asyncio.sleep(0.1)
        return x + 1

    @task
    async def raises():
        raise ValueError("async")

    @task(show_return_value_in_logs=False, templates_dict={"t": "{{ ds }}"})
    def templates(templates_dict=None, **context):
        return [templates_dict, context["task"].task_id, context["params"]["p"]]

    @task
    def current():
        c = get_current_context()
        return [c["ti"].task_id, c["run_id"], sorted(k for k in c if k.startswith("prev_"))]

    @task
    def positional(ti, run_id, *, params, missing=5):
        return [ti.task_id, run_id, dict(params), missing]

    got = outputs()

    @task
    def uses(a, b):
        return [a, b]

    uses(got["a"], got["b"])
    generates(), awaits(awaits.override(task_id="awaits_first")(1)), raises(), templates(), current(), positional()
    PythonOperator(task_id="no_result", python_callable=lambda: None)
    PythonOperator(task_id="no_xcom", python_callable=lambda: 5, do_xcom_push=False)
    PythonOperator(task_id="bad_arguments", python_callable=lambda a: a, op_kwargs={"b": 1})
