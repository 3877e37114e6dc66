from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, DeltaTriggerTimetable, CronTriggerTimetable
from dateutil.relativedelta import relativedelta
CASE = {
    "about": "relativedelta schedules, weekly, catchup off with an ended Dag, start in the middle of an interval, presets, 6-field cron, descriptions",
    "dags": ["schedule_kinds__rel", "schedule_kinds__week", "schedule_kinds__trigoff", "schedule_kinds__mid", "schedule_kinds__quarter", "schedule_kinds__weird"],
    "actions": [
        {"wait": {"dag": "schedule_kinds__rel", "count": 2}}, {"wait": {"dag": "schedule_kinds__week", "count": 2}}, {"wait": {"dag": "schedule_kinds__mid", "count": 2}},
        {"wait": {"dag": "schedule_kinds__quarter", "count": 2}}, {"wait": {"dag": "schedule_kinds__weird", "count": 2}},
        {"states": {"after": 3}},
    ],
}
N = dict(catchup=True)
with DAG("schedule_kinds__rel", schedule=relativedelta(months=1), start_date=datetime(2024, 1, 31), end_date=datetime(2024, 3, 15), **N):
    EmptyOperator(task_id="t")
with DAG("schedule_kinds__week", schedule="@weekly", start_date=datetime(2024, 1, 3, 5, 6, 7), end_date=datetime(2024, 1, 14), **N):
    EmptyOperator(task_id="t")
with DAG("schedule_kinds__trigoff", schedule=CronTriggerTimetable("0 0 * * *", timezone="UTC"), start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 5), catchup=False):
    EmptyOperator(task_id="t")
with DAG("schedule_kinds__mid", schedule=DeltaTriggerTimetable(timedelta(days=2)), start_date=datetime(2024, 1, 1, 5, 6, 7, 890123), end_date=datetime(2024, 1, 3, 5, 6, 7, 890123), **N):
    EmptyOperator(task_id="t")
with DAG("schedule_kinds__quarter", schedule="@quarterly", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 5, 1), **N):
    EmptyOperator(task_id="t")
with DAG("schedule_kinds__weird", schedule="15 10 * * 5#2", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 2, 28), description="d", **N):
    EmptyOperator(task_id="t")
