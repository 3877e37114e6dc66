from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset
from airflow.utils.types import DagRunType

CASE = {
    "about": "allowed_run_types: runs of other types are refused by the API, the operator and backfills, or not made by the scheduler",
    "dags": ["run_types", "run_types__manual", "run_types__scheduled", "run_types__asset", "run_types__operator"],
    "unpause": ["run_types__manual", "run_types__scheduled", "run_types__asset", "run_types__operator"],
    "actions": [
        {"trigger": {"dag": "run_types__manual", "run": "m1"}},
        {"trigger": {"dag": "run_types__scheduled", "run": "m1", "expect": 400}},
        {"trigger": {"dag": "run_types__asset", "run": "m1", "expect": 400}},
        {"backfill": {"dag": "run_types__scheduled", "from_date": "2024-01-01T00:00:00Z", "to_date": "2024-01-03T00:00:00Z", "expect": 400}},
        {"wait": {"dag": "run_types__manual", "run": "m1"}},
        {"wait": {"dag": "run_types__scheduled", "count": 3}},
        {"asset_event": {"asset": "run_types_asset"}},
        {"wait": {"dag": "run_types__asset", "count": 1}},
        {"unpause": "run_types"},
        {"trigger": {"dag": "run_types", "run": "r1"}},
        {"wait": {"dag": "run_types", "run": "r1"}},
        {"wait": {"dag": "run_types__operator", "run": "o1"}},
        {"sleep": 3},
    ],
}

DATES = {"start_date": datetime(2024, 1, 1), "end_date": datetime(2024, 1, 3), "catchup": True}
asset = Asset("run_types_asset", uri="x-case://run_types/asset")

with DAG("run_types__manual", schedule=None, allowed_run_types=[DagRunType.MANUAL]):
    EmptyOperator(task_id="t")
with DAG("run_types__scheduled", schedule="@daily", allowed_run_types=DagRunType.SCHEDULED, **DATES):
    EmptyOperator(task_id="t")
with DAG("run_types__asset", schedule=[asset], allowed_run_types=[DagRunType.ASSET_TRIGGERED]):
    EmptyOperator(task_id="t")
with DAG("run_types__operator", schedule=None, allowed_run_types=[DagRunType.MANUAL, DagRunType.OPERATOR_TRIGGERED]):
    EmptyOperator(task_id="t")
with DAG("run_types", schedule=None):
    TriggerDagRunOperator(task_id="allowed", trigger_dag_id="run_types__operator", trigger_run_id="o1", wait_for_completion=True, poke_interval=1)
    TriggerDagRunOperator(task_id="refused", trigger_dag_id="run_types__manual", trigger_run_id="o1")
