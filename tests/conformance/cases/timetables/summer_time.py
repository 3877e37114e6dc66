from datetime import datetime, timedelta
import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, DeltaTriggerTimetable, CronDataIntervalTimetable
CASE = {
    "about": "the ends of summer time, forwards and back, in several zones",
    "dags": ["summer_time__spring", "summer_time__autumn", "summer_time__delta", "summer_time__hourly", "summer_time__lh"],
    "actions": [
        {"wait": {"dag": "summer_time__spring", "count": 3}},
        {"wait": {"dag": "summer_time__autumn", "count": 3}},
        {"wait": {"dag": "summer_time__delta", "count": 3}},
        {"wait": {"dag": "summer_time__hourly", "count": 4}},
        {"wait": {"dag": "summer_time__lh", "count": 3}},
        {"states": {"after": 4}},
    ],
}
N = dict(catchup=True, max_active_runs=16)
B = pendulum.timezone("Europe/Berlin")
with DAG("summer_time__spring", schedule="30 2 * * *", start_date=datetime(2024, 3, 29, tzinfo=B), end_date=datetime(2024, 4, 2, tzinfo=B), **N):
    EmptyOperator(task_id="t")
with DAG("summer_time__autumn", schedule=CronTriggerTimetable("30 2 * * *", timezone="Europe/Berlin"), start_date=datetime(2024, 10, 26, tzinfo=B), end_date=datetime(2024, 10, 29, tzinfo=B), **N):
    EmptyOperator(task_id="t")
with DAG("summer_time__delta", schedule=timedelta(days=1), start_date=datetime(2024, 10, 26, 12, tzinfo=B), end_date=datetime(2024, 10, 28, 12, tzinfo=B), **N):
    EmptyOperator(task_id="t")
with DAG("summer_time__hourly", schedule=CronDataIntervalTimetable("*/30 1-3 * * *", timezone="America/New_York"), start_date=datetime(2024, 11, 3, 4, tzinfo=pendulum.UTC), end_date=datetime(2024, 11, 3, 8, tzinfo=pendulum.UTC), **N):
    EmptyOperator(task_id="t")
with DAG("summer_time__lh", schedule="45 1 * * *", start_date=datetime(2024, 4, 5, tzinfo=pendulum.timezone("Australia/Lord_Howe")), end_date=datetime(2024, 4, 9, tzinfo=pendulum.timezone("Australia/Lord_Howe")), **N):
    EmptyOperator(task_id="t")
