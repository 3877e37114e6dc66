"""A Python function as a condition, where CEL does not do: an alarm when a value is far above the average of those before.

The function is asked about every value in a process of its own. What it returns besides its answer it gets at the next value.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from slipstream import Event, events, start_on


def has_jumped(event, before):
    """Whether a value is more than twice the average of up to ten before it; remembers these."""
    value, before = event["data"]["value"], before or []
    jumped = len(before) >= 3 and value > 2 * sum(before) / len(before)
    return jumped, [*before, value][-10:]


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_python_condition():
    @task
    def measure():
        for value in (10, 12, 9, 11, 40, 10):
            events.send("measured", {"value": value})

    @task
    def alarm(triggering_events=None):
        for event in triggering_events:
            print("the value has jumped to", event["data"]["value"])

    measure()
    start_on(alarm(), Event("measured").passes(has_jumped))


event_python_condition()
