from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from conformance_witness import gate, say
CASE = {
    "about": "depends_on_past over a catchup with several runs at once, one skipped in the middle",
    "actions": [{"wait": {"count": 4}}],
}
with DAG("depends_catchup", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), catchup=True, max_active_runs=4):
    @task.short_circuit
    def s(logical_date=None):
        return logical_date.day != 2
    @task(depends_on_past=True)
    def t(logical_date=None):
        say("depends_catchup", str(logical_date.date()))
    s() >> t()
