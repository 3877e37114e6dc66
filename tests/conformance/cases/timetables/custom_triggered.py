from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG
from conformance_plugin import EverySecondDay

CASE = {
    "about": "a task triggers a run of a Dag whose timetable is a plugin's: it infers the data interval",
    "batch": "plugins",
    "dags": ["custom_triggered", "custom_triggered__target"],
    "unpause": ["custom_triggered__target", "custom_triggered"],
    "actions": [{"trigger": {}}, {"wait": "runs"}],
}

with DAG("custom_triggered__target", schedule=EverySecondDay(hour=7), start_date=datetime(2044, 1, 1)):
    EmptyOperator(task_id="t")

with DAG("custom_triggered", schedule=None):
    TriggerDagRunOperator(task_id="dated", trigger_dag_id="custom_triggered__target", trigger_run_id="dated", logical_date="2024-03-04T05:06:07+00:00", run_after="2024-03-05T05:06:07+00:00")
