from datetime import datetime

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, Param, task

CASE = {
    "about": "what a task may ask of a run: dates before the default start date, a run that exists and would not be allowed, values JSON has no form for",
    "dags": ["trigger_corners", "trigger_corners__dated", "trigger_corners__strict", "trigger_corners__plain"],
    "unpause": ["trigger_corners", "trigger_corners__strict", "trigger_corners__plain", "trigger_corners__dated"],
    "actions": [
        {"trigger": {"dag": "trigger_corners__strict", "run": "there", "conf": {"must": 1}}}, {"wait": "runs"},
        {"trigger": {"dag": "trigger_corners"}}, {"wait": "runs"},
    ],
}

with DAG("trigger_corners__dated", schedule=None, default_args={"start_date": datetime(2021, 1, 1)}):

    @task
    def dated():
        pass

    dated()

with DAG("trigger_corners__strict", schedule=None, params={"must": Param(type="integer")}):

    @task
    def strict():
        pass

    strict()

with DAG("trigger_corners__plain", schedule=None):

    @task
    def plain(dag_run=None):
        return repr(dag_run.conf)

    plain()

with DAG("trigger_corners", schedule=None):
    TriggerDagRunOperator(task_id="too_early", trigger_dag_id="trigger_corners__dated", trigger_run_id="early", logical_date="2020-06-01T00:00:00+00:00")
    TriggerDagRunOperator(task_id="late_enough", trigger_dag_id="trigger_corners__dated", trigger_run_id="late", logical_date="2021-06-01T00:00:00+00:00")
    TriggerDagRunOperator(task_id="skips", trigger_dag_id="trigger_corners__strict", trigger_run_id="there", skip_when_already_exists=True)
    TriggerDagRunOperator(task_id="exists", trigger_dag_id="trigger_corners__strict", trigger_run_id="there")
    TriggerDagRunOperator(task_id="not_allowed", trigger_dag_id="trigger_corners__strict", trigger_run_id="other")
    TriggerDagRunOperator(task_id="numbers_as_keys", trigger_dag_id="trigger_corners__plain", trigger_run_id="keys", conf={"sizes": {1: "a", 2.5: "b", True: "c"}})

    @task(outlets=[Asset("trigger_corners_a")])
    def writes(outlet_events=None):
        outlet_events[Asset("trigger_corners_a")].extra = {"mean": float("nan"), "of": {1: [float("inf")]}, "bytes": b"text"}

    writes()
