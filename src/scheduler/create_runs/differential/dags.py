"""Dags whose runs are made by Airflow and by Slipstream, to be compared."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AsyncCallback,
    CronPartitionTimetable,
    DeadlineAlert,
    DeadlineReference,
    Param,
    SyncCallback,
    task,
)
from airflow.timetables.interval import CronDataIntervalTimetable

start = datetime(2026, 1, 1)


async def late(**kwargs):
    pass


with DAG(
    "with_everything",
    schedule="@daily",
    start_date=start,
    catchup=True,
    max_active_runs=3,
    params={"n": Param(3, type="integer", minimum=1)},
    deadline=[
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=timedelta(seconds=5),
            callback=AsyncCallback("one.late", kwargs={"a": 1, "t": timedelta(seconds=3), "l": [1, {"x": 2}]}),
        ),
        DeadlineAlert(
            reference=DeadlineReference.FIXED_DATETIME(start),
            interval=timedelta(hours=1),
            callback=SyncCallback("one.late", kwargs={"a": 1}),
        ),
    ],
):
    first = EmptyOperator(task_id="first", executor_config={"x": {"y": [1, (2, 3)]}})
    second = BashOperator(
        task_id="second", bash_command="true", pool_slots=2, priority_weight=5, retries=3, task_display_name="The Second"
    )
    starts_later = EmptyOperator(task_id="starts_later", start_date=datetime(2026, 2, 1))

    @task(queue="other", weight_rule="absolute")
    def mapped(x):
        return x

    first >> second >> mapped.expand(x=[1, 2, 3]) >> starts_later

with DAG("newest_only", schedule="0 0 * * *", start_date=start, catchup=False):
    EmptyOperator(task_id="a")

with DAG("one_at_a_time", schedule="@daily", start_date=start, catchup=True, max_active_runs=1):
    EmptyOperator(task_id="a")

with DAG("intervals", schedule=CronDataIntervalTimetable("@weekly", timezone="Europe/Berlin"), start_date=start, catchup=True):
    EmptyOperator(task_id="a")

with DAG("once", schedule="@once", start_date=start):
    EmptyOperator(task_id="a")

with DAG("partitions", schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"), start_date=start, catchup=True):
    EmptyOperator(task_id="a")

with DAG("bad_param", schedule="@daily", start_date=start, params={"n": Param(3, type="integer")}):
    EmptyOperator(task_id="a")

with DAG("not_by_schedule", schedule="@daily", start_date=start):
    EmptyOperator(task_id="a")

with DAG("no_more", schedule="@daily", start_date=start, end_date=start, catchup=True):
    EmptyOperator(task_id="a")

with DAG("both_assets", schedule=(Asset("one") & Asset("two")), start_date=start):
    EmptyOperator(task_id="a")

with DAG("any_asset", schedule=(Asset("one") | Asset("two")), start_date=start, catchup=True):
    EmptyOperator(task_id="a")

with DAG("by_alias", schedule=[AssetAlias("alias")], start_date=start, catchup=True):
    EmptyOperator(task_id="a")
