"""A sum as a condition: three endless producers send numbers; when these add up to 100, a consumer starts, once.

The producers are stopped when the consumer has succeeded, and with them the run ends.
"""

from __future__ import annotations

import time

from airflow.sdk import dag, task

from slipstream import Event, TaskState, events, start_on, stop_on, streaming


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_custom_condition():
    @task
    def produce(number):
        while True:
            events.send("number", {"value": number})
            time.sleep(0.5)

    @task
    def consume(triggering_events=None):
        print("the sum is", sum(event["data"]["value"] for event in triggering_events))

    consumer = start_on(consume(), Event("number").sum("data.value", at_least=100), at_most=1)
    for number in (5, 10, 15):
        producer = streaming(produce.override(task_id=f"produce_{number}")(number))
        stop_on(producer, TaskState(consumer), mark="success", grace=1)


event_custom_condition()
