"""Events in one run: two tasks, then one that sends an event, then one that this event starts.

`welcome` runs once, as soon as `greet` has sent its event, perhaps while `greet` still runs. The event is for the triggers of
its own run only, so two runs at the same time do not disturb each other.
"""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task

from slipstream import Event, events, start_on


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_quickstart():
    sleep = BashOperator(task_id="sleep", bash_command="sleep 1")
    date = BashOperator(task_id="date", bash_command="date")

    @task
    def greet():
        events.send("greeting", {"text": "hello"})

    @task
    def welcome(triggering_events=None):
        for event in triggering_events:
            print(event["data"]["text"])

    [sleep, date] >> greet()
    start_on(welcome(), Event("greeting"))


event_quickstart()
