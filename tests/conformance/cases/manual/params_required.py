from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, Param
CASE = {
    "about": "params: required by hand, nullable, of a task, of a scheduled Dag; a backfill with a conf for a param",
    "dags": ["params_required__manual", "params_required__sched"],
    "actions": [
        {"trigger": {"dag": "params_required__manual", "run": "no", "expect": 400}},
        {"trigger": {"dag": "params_required__manual", "run": "yes", "conf": {"n": 4}}},
        {"trigger": {"dag": "params_required__manual", "run": "bad", "conf": {"n": "x"}, "expect": 400}},
        {"wait": {"dag": "params_required__sched", "count": 2}},
        {"backfill": {"dag": "params_required__sched", "from_date": "2023-05-01T00:00:00Z", "to_date": "2023-05-02T00:00:00Z", "dag_run_conf": {"p": "other"}}},
        {"wait": {"dag": "params_required__sched", "count": 4}},
        {"wait_sql": {"sql": "select count(*) from backfill where dag_id like 'params_required%' and completed_at is not null", "equals": 1}},
        {"wait": "runs"},
    ],
}
with DAG("params_required__manual", schedule=None, params={"n": Param(type="integer"), "o": Param(None, type=["null", "string"])}):
    @task(params={"tp": 1, "n": 3})
    def t(params=None):
        return dict(params)
    t()
with DAG("params_required__sched", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2), catchup=True, params={"p": "def"}):
    @task
    def t(params=None, dag_run=None):
        return [dict(params), dag_run.conf]
    t()
