from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset
CASE = {
    "about": "the schedule of a live Dag changes from daily to weekly to an asset to none",
    "actions": [
        {"wait": {"count": 3}},
        {"replace": {"old": "SCHEDULE = '@daily'", "new": "SCHEDULE = '@weekly'"}},
        {"wait_sql": {"sql": "select timetable_summary from dag where dag_id='schedule_changes'", "equals": "0 0 * * 0"}},
        {"note": {"sql_name": "next", "sql": "select next_dagrun, next_dagrun_create_after from dag where dag_id='schedule_changes'"}},
        {"replace": {"old": "END = datetime(2024, 1, 3)", "new": "END = datetime(2024, 1, 20)"}},
        {"wait": {"count": 5}},
        {"states": {"after": 3}},
        {"replace": {"old": "SCHEDULE = '@weekly'", "new": "SCHEDULE = [Asset('schedule_changes_a')]"}},
        {"wait_sql": {"sql": "select timetable_summary from dag where dag_id='schedule_changes'", "equals": "Asset"}},
        {"asset_event": {"asset": "schedule_changes_a"}},
        {"wait_sql": {"sql": "select count(*) from dag_run where dag_id='schedule_changes' and run_type='asset_triggered' and state='success'", "equals": 1}},
        {"replace": {"old": "SCHEDULE = [Asset('schedule_changes_a')]", "new": "SCHEDULE = None"}},
        {"wait_sql": {"sql": "select count(*) from dag_schedule_asset_reference where dag_id='schedule_changes'", "equals": 0}},
        {"sleep": 3},
        {"asset_event": {"asset": "schedule_changes_a"}},
        {"states": {"after": 3}},
    ],
}
SCHEDULE = '@daily'
END = datetime(2024, 1, 3)
with DAG("schedule_changes", schedule=SCHEDULE, start_date=datetime(2024, 1, 1), end_date=END, catchup=True, max_active_runs=2):
    EmptyOperator(task_id="t")
