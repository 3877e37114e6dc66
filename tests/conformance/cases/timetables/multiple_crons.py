from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, MultipleCronTriggerTimetable, CronTriggerTimetable, CronDataIntervalTimetable, EventsTimetable, DeltaTriggerTimetable
import pendulum
CASE = {
    "about": "multiple crons, cron trigger with interval, month ends, events",
    "dags": ["multiple_crons__multi", "multiple_crons__trig", "multiple_crons__month", "multiple_crons__run_imm"],
    "actions": [
        {"wait": {"dag": "multiple_crons__multi", "count": 6}},
        {"wait": {"dag": "multiple_crons__trig", "count": 3}},
        {"wait": {"dag": "multiple_crons__month", "count": 2}},
        {"trigger": {"dag": "multiple_crons__trig", "run": "m", "logical_date": "2024-01-03T05:00:00Z"}},
        {"states": {"after": 5}},
    ],
    "mask": {"dags|multiple_crons__run_imm|next_dagrun*": "depends on the time of day",
        "runs|multiple_crons__run_imm*": "depends on the time of day",
        "run_order|multiple_crons__run_imm": "depends on the time of day",
        "log": "depends on the time of day",
      "answers|*|*|multiple_crons__run_imm*": "depends on the time of day"},
}
N = dict(catchup=True, max_active_runs=16)
with DAG("multiple_crons__multi", schedule=MultipleCronTriggerTimetable("0 6 * * *", "30 18 * * *", "0 6 2 * *", timezone="Europe/Berlin"), start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), **N):
    EmptyOperator(task_id="t")
with DAG("multiple_crons__trig", schedule=CronTriggerTimetable("0 1 * * 3", timezone="America/New_York", interval=timedelta(days=4, hours=9)), start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 20), **N):
    EmptyOperator(task_id="t")
with DAG("multiple_crons__month", schedule=CronDataIntervalTimetable("0 0 L * *", timezone="UTC"), start_date=datetime(2024, 1, 1), end_date=datetime(2024, 3, 1), **N):
    EmptyOperator(task_id="t")
with DAG("multiple_crons__run_imm", schedule=CronTriggerTimetable("0 0 29 2 *", timezone="UTC", run_immediately=True), start_date=datetime(2024, 1, 1), catchup=False):
    EmptyOperator(task_id="t")
