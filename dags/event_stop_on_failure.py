"""Stop on failure: `ingest` runs without an end, beside a check; when the check fails, so does `ingest`, and the run ends.

`event_stop_report` is another Dag that looks on: it runs when a run of this one has failed.
Trigger it with the configuration `{"broken": true}` to see it fail.
"""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from slipstream import EventSchedule, RunState, TaskState, stop_on, streaming

CHECK = "sleep 2; {{ 'false' if dag_run.conf.get('broken') else 'true' }}"


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_stop_on_failure():
    ingest = streaming(BashOperator(task_id="ingest", bash_command="while sleep 1; do date; done"))
    check = BashOperator(task_id="check", bash_command=CHECK)
    stop_on(ingest, TaskState(check, "failed"), mark="failed")
    stop_on(ingest, TaskState(check, "success"), mark="success")


@dag(
    schedule=EventSchedule(RunState("event_stop_on_failure", "failed")),
    catchup=False,
    tags=["example", "events"],
    doc_md=__doc__,
)
def event_stop_report():
    BashOperator(task_id="report", bash_command="echo '{{ dag_run.conf.triggering_events[0].data.run_id }} has failed'")


event_stop_on_failure()
event_stop_report()
