from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable, EventsTimetable, AssetOrTimeSchedule, Asset
import pendulum
CASE = {
    "mask": {"dags|*|next_dagrun*": "what the clock makes beside the backfill",
        "runs|*scheduled*": "what the clock makes beside the backfill",
        "runs|*asset*": "what the clock makes beside the backfill"},
    "about": "backfills of several timetables, reversed, beside a limit of the Dag",
    "dags": ["backfill_timetables__trig", "backfill_timetables__delta", "backfill_timetables__multi", "backfill_timetables__assetor", "backfill_timetables__hourly"],
    "actions": [
        {"backfill": {"dag": "backfill_timetables__trig", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-20T00:00:00Z", "run_backwards": True}},
        {"backfill": {"dag": "backfill_timetables__delta", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-02T00:00:00Z"}},
        {"backfill": {"dag": "backfill_timetables__multi", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z"}},
        {"backfill": {"dag": "backfill_timetables__assetor", "from_date": "2024-05-01T00:00:00Z", "to_date": "2024-05-03T00:00:00Z"}},
        {"backfill": {"dag": "backfill_timetables__hourly", "from_date": "2024-05-01T00:30:00Z", "to_date": "2024-05-01T03:30:00Z"}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id like 'backfill_timetables%' and completed_at is not null", "equals": 5}},
        {"wait": "runs"},
    ],
}
N = dict(start_date=datetime(2024, 1, 1), end_date=datetime(2024, 6, 1), catchup=False, is_paused_upon_creation=True)
for name, s in {"trig": CronTriggerTimetable("0 0 * * 0", timezone="Europe/Berlin"), "delta": timedelta(hours=9),
    "multi": MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * *", timezone="UTC"),
    "assetor": AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[Asset("backfill_timetables_a")]), "hourly": "@hourly"}.items():
    with DAG(f"backfill_timetables__{name}", schedule=s, **N):
        EmptyOperator(task_id="t")
