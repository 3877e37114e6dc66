from datetime import datetime
from airflow.sdk import DAG, task
from conformance_witness import gate, say
CASE = {
    "about": "a continuous Dag that fails pauses itself after three failures",
    "actions": [
        {"wait_sql": {"sql": "select count(*) from dag where dag_id='continuous_fails' and is_paused", "equals": 1}},
        {"wait": "runs"},
        {"note": {"sql_name": "runs", "sql": "select state, count(*) >= 3 from dag_run where dag_id='continuous_fails' group by state"}},
    ],
    "mask": {"runs": "how many runs there are depends on the load",
        "run_order": "how many runs there are depends on the load",
        "log": "how many runs there are depends on the load",
        "rendered": "how many runs there are depends on the load",
        "xcom": "how many runs there are depends on the load",
        "dags|*|next_dagrun*": "how many runs there are depends on the load"},
}
with DAG("continuous_fails", schedule="@continuous", start_date=datetime(2024, 1, 1), max_active_runs=1, max_consecutive_failed_dag_runs=3):
    @task
    def t():
        raise ValueError("x")
    t()
