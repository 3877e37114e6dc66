from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

CASE = {
    "about": "schedules under other settings: a time zone by default, data intervals of cron and timedelta, catchup by default, one run at a time, Dags that start by themselves, failing runs that pause a Dag, the first run of a task that depends on its past",
    "batch": "settings",
    "unpause": [],
    "dags": ["set_schedules", "set_schedules__delta", "set_schedules__fails", "set_schedules__past", "set_schedules__zone"],
    "actions": [
        {"wait": {"count": 3}},
        {"wait": {"dag": "set_schedules__delta", "count": 2}},
        {"wait": {"dag": "set_schedules__fails", "count": 2}},
        {"wait": {"dag": "set_schedules__zone", "count": 2}},
        {"wait_sql": {"sql": "select count(*) from dag where dag_id = 'set_schedules__fails' and is_paused", "equals": 1}},
        {"states": {"after": 4}},
    ],
    "limit": 200,
}

with DAG("set_schedules", schedule="0 6 * * *", start_date=datetime(2024, 3, 30), end_date=datetime(2024, 4, 1, 12)):

    @task
    def dates(data_interval_start=None, data_interval_end=None, logical_date=None, ds=None, ts=None):
        return [str(data_interval_start), str(data_interval_end), str(logical_date), ds, ts]

    dates()

with DAG("set_schedules__delta", schedule=timedelta(days=1), start_date=datetime(2024, 3, 30, 12), end_date=datetime(2024, 4, 1)):
    EmptyOperator(task_id="t")

with DAG("set_schedules__fails", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 5)):

    @task(retries=0)
    def fails():
        raise ValueError("always")

    fails()

with DAG("set_schedules__past", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2)):
    EmptyOperator(task_id="t", depends_on_past=True)

with DAG("set_schedules__zone", schedule="@weekly", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 20)):
    EmptyOperator(task_id="t", start_date=datetime(2024, 1, 8))
