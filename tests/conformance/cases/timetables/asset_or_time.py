from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, task
CASE = {
    "about": "asset or time: two runs by the clock of the past, then one by an event",
    "actions": [
        {"wait": {"count": 2}},
        {"asset_event": {"asset": "asset_or_time_a", "extra": {"x": 1}}},
        {"wait": {"count": 3}},
        {"trigger": {"run": "m"}},
        {"wait": "runs"},
    ],
}
a = Asset("asset_or_time_a", uri="x-case://asset_or_time/a")
with DAG("asset_or_time", schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 1 1 *", timezone="UTC"), assets=[a]), start_date=datetime(2023, 1, 1), end_date=datetime(2024, 6, 1), catchup=True, max_active_runs=1):
    @task
    def t(triggering_asset_events=None):
        return {k.name: [e.extra for e in v] for k, v in triggering_asset_events.items()}
    t()
