from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.sdk import DAG, task
from airflow.sdk.definitions.taskgroup import TaskGroup
from airflow.sdk.exceptions import AirflowSkipException

D = datetime(2024, 5, 1)
CASE = {
    "about": "external task sensors: a run, tasks, a group, another date, states that fail or skip, something that does not exist, deferred, rescheduled",
    "dags": ["external_sensors", "external_sensors__other"],
    "actions": [
        {"trigger": {"dag": "external_sensors__other", "run": "o1", "logical_date": "2024-05-01T00:00:00Z"}},
        {"wait": {"dag": "external_sensors__other", "run": "o1"}},
        {"trigger": {"dag": "external_sensors", "run": "s1", "logical_date": "2024-05-01T00:00:00Z"}},
        {"wait": {"dag": "external_sensors", "run": "s1"}},
        {"clear": {"dag": "external_sensors", "run": "s1", "task_ids": ["marker"], "include_downstream": True}},
        {"wait": "runs"},
    ],
    "limit": 250,
}

with DAG("external_sensors__other", schedule=None, start_date=datetime(2024, 1, 1)):

    @task
    def fails():
        raise ValueError("on purpose")

    @task
    def skips():
        raise AirflowSkipException("on purpose")

    with TaskGroup("g"):
        EmptyOperator(task_id="a") >> EmptyOperator(task_id="b")
    fails(), skips(), EmptyOperator(task_id="marked")

with DAG("external_sensors", schedule=None, start_date=datetime(2024, 1, 1)):
    common = {"external_dag_id": "external_sensors__other", "poke_interval": 1, "timeout": 5}
    # How soon a trigger looks depends on the load of the machine.
    patient = {**common, "timeout": 120}
    ExternalTaskSensor(task_id="run_failed", failed_states=["failed"], **common)
    ExternalTaskSensor(task_id="run_any", allowed_states=["success", "failed"], **common)
    ExternalTaskSensor(task_id="one", external_task_id="g.a", **common)
    ExternalTaskSensor(task_id="some", external_task_ids=["g.a", "g.b"], **common)
    ExternalTaskSensor(task_id="group", external_task_group_id="g", **common)
    ExternalTaskSensor(task_id="group_resched", external_task_group_id="g", mode="reschedule", **common)
    ExternalTaskSensor(task_id="task_failed", external_task_id="fails", failed_states=["failed"], **common)
    ExternalTaskSensor(task_id="soft", external_task_id="fails", failed_states=["failed"], soft_fail=True, **common)
    ExternalTaskSensor(task_id="skip", external_task_id="skips", skipped_states=["skipped"], **common)
    ExternalTaskSensor(task_id="absent", external_task_id="nowhere", check_existence=True, **common)
    ExternalTaskSensor(task_id="absent_dag", check_existence=True, poke_interval=1, timeout=5, external_dag_id="external_sensors__nowhere")
    ExternalTaskSensor(task_id="other_date", external_task_id="g.a", execution_delta=timedelta(days=1), soft_fail=True, poke_interval=1, timeout=2, external_dag_id="external_sensors__other")
    ExternalTaskSensor(task_id="deferred", external_task_id="g.a", deferrable=True, **patient)
    ExternalTaskSensor(task_id="deferred_failed", external_task_id="fails", failed_states=["failed"], deferrable=True, **patient)
    ExternalTaskMarker(task_id="marker", external_dag_id="external_sensors__other", external_task_id="marked")
