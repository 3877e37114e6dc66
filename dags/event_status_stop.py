"""A sidecar: a task that runs beside the work, and is stopped when the work has succeeded, or failed."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from slipstream import TaskState, stop_on, streaming


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_status_stop():
    first = BashOperator(task_id="first", bash_command="sleep 1")
    second = BashOperator(task_id="second", bash_command="sleep 2")
    sidecar = streaming(BashOperator(task_id="sidecar", bash_command="while sleep 1; do date; done"))
    stop_on(sidecar, TaskState(first) & TaskState(second), mark="success")
    stop_on(sidecar, TaskState(first, "failed") | TaskState(second, "failed"), mark="failed")


event_status_stop()
