"""A clock inside a run: one task every two seconds, another one after each of its successes, until that has run three times."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from slipstream import TaskState, periodic, start_on, stop_on


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_periodic_task():
    measure = periodic(BashOperator(task_id="measure", bash_command="date"), interval=2, overlap="queue")
    report = BashOperator(task_id="report", bash_command="echo measured")
    start_on(report, TaskState(measure), when_running="queue")
    stop_on(measure, TaskState(report).count(3), mark="success")


event_periodic_task()
