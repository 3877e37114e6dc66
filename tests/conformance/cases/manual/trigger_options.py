from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
CASE = {
    "about": "TriggerDagRunOperator: reset, skip when it exists, exists without either, allowed states, paused target, unknown Dag, note, mapped",
    "dags": ["trigger_options", "trigger_options__target", "trigger_options__paused"],
    "unpause": ["trigger_options", "trigger_options__target"],
    "actions": [
        {"trigger": {"dag": "trigger_options__target", "run": "there", "logical_date": "2024-01-01T00:00:00Z"}}, {"wait": {"dag": "trigger_options__target", "run": "there"}},
        {"trigger": {"dag": "trigger_options__target", "run": "there2"}}, {"wait": {"dag": "trigger_options__target", "run": "there2"}},
        {"trigger": {"dag": "trigger_options"}}, {"wait": {"dag": "trigger_options"}}, {"sleep": 4},
    ],
    "mask": {"run_order|trigger_options__target|*": "x"},
}
with DAG("trigger_options__target", schedule=None, max_active_runs=8):
    @task
    def work(dag_run=None):
        if (dag_run.conf or {}).get("fail"):
            raise ValueError("told to")
        return [dag_run.conf, dag_run.note]
    work()
with DAG("trigger_options__paused", schedule=None):
    EmptyOperator(task_id="t")
with DAG("trigger_options", schedule=None):
    C = {"trigger_dag_id": "trigger_options__target", "poke_interval": 1}
    TriggerDagRunOperator(task_id="reset", trigger_run_id="there", reset_dag_run=True, wait_for_completion=True, conf={"again": 1}, **{**C}, logical_date="2024-01-01T00:00:00+00:00")
    TriggerDagRunOperator(task_id="skips", trigger_run_id="there2", skip_when_already_exists=True, **C)
    TriggerDagRunOperator(task_id="refused", trigger_run_id="there2", **C)
    TriggerDagRunOperator(task_id="failure_is_fine", trigger_run_id="f1", conf={"fail": 1}, wait_for_completion=True, allowed_states=["success", "failed"], failed_states=[], **C)
    TriggerDagRunOperator(task_id="deferred_fail", trigger_run_id="f2", conf={"fail": 1}, wait_for_completion=True, deferrable=True, **C)
    TriggerDagRunOperator(task_id="paused", trigger_run_id="p", trigger_dag_id="trigger_options__paused", fail_when_dag_is_paused=True)
    TriggerDagRunOperator(task_id="queued", trigger_run_id="p2", trigger_dag_id="trigger_options__paused")
    TriggerDagRunOperator(task_id="unknown", trigger_run_id="p", trigger_dag_id="trigger_options__nowhere")
    TriggerDagRunOperator(task_id="note", trigger_run_id="n_{{ ds | default('none') }}", note="a note {{ run_id }}", **C)
    TriggerDagRunOperator.partial(task_id="mapped", **C).expand(trigger_run_id=["m1", "m2"])
