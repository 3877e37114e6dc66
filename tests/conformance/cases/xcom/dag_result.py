from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, dag, task

CASE = {
    "about": "the result of a Dag: of a task, of copies of a mapped task, of one that is retried, of one that fails",
    "dags": ["dag_result", "dag_result__mapped", "dag_result__retried", "dag_result__failed"],
    "actions": [
        {"trigger": {"dag": "dag_result", "run": "r1"}},
        {"trigger": {"dag": "dag_result__mapped", "run": "r1"}},
        {"trigger": {"dag": "dag_result__retried", "run": "r1"}},
        {"trigger": {"dag": "dag_result__failed", "run": "r1"}},
        {"wait": {"dag": "dag_result", "run": "r1"}},
        {"wait": {"dag": "dag_result__mapped", "run": "r1"}},
        {"wait": {"dag": "dag_result__retried", "run": "r1"}},
        {"wait": {"dag": "dag_result__failed", "run": "r1"}},
        {"note": {"sql_name": "results", "sql": "select dag_id, task_id, map_index, key from xcom where dag_result and dag_id like 'dag_result%' order by 1, 2, 3, 4"}},
    ],
}


@task
def answer():
    return {"answer": 42}


@task
def double(x):
    return 2 * x


@task(retries=1, retry_delay=timedelta(seconds=1))
def second_try(ti=None):
    ti.xcom_push("a key", ti.try_number)
    if ti.try_number == 1:
        raise ValueError("first try")
    return ti.try_number


@task
def nothing():
    raise ValueError("no result")


@dag(dag_id="dag_result", schedule=None)
def plain():
    result = answer()
    result >> double(1) >> EmptyOperator(task_id="last")
    return result


with DAG("dag_result__mapped", schedule=None) as mapped:
    mapped.add_result(double.expand(x=[1, 2, 3]))

with DAG("dag_result__retried", schedule=None) as retried:
    retried.add_result(second_try())

with DAG("dag_result__failed", schedule=None) as failed:
    failed.add_result(nothing())

plain()
