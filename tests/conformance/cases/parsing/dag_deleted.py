from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say
CASE = {
    "about": "a Dag is deleted through REST after a run; its file is still there and is parsed again",
    "actions": [
        {"trigger": {"run": "r1"}}, {"wait": {"run": "r1"}},
        {"delete_dag": "dag_deleted"},
        {"sleep": 3},
        {"replace": {"old": "V = 1", "new": "V = 2"}},
        {"wait_sql": {"sql": "select count(*) from dag where dag_id='dag_deleted'", "equals": 1}},
        {"unpause": "dag_deleted"},
        {"trigger": {"run": "r1"}}, {"wait": {"run": "r1"}},
    ],
}
V = 1
with DAG("dag_deleted", schedule=None, tags=["x"]):
    EmptyOperator(task_id="t")
