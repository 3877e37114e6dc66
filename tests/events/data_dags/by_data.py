"""Tasks that start when their inlets are new: made by other tasks of the same run, or by another Dag."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from airflow.sdk import DAG, Asset, task
from slipstream import Event, EventSchedule, by_data, start_on

OUT = Path(os.environ["EVENTS_TEST_OUT"])
LEFT, RIGHT, PARTS, ACROSS = (Asset(name, f"test://{name}") for name in ("left", "right", "parts", "across"))


def tell(context) -> None:
    """Add a line with what the task was told."""
    told = [[event["key"], event["data"].get("state")] for event in context["triggering_events"]]
    with (OUT / context["ti"].task_id).open("a") as file:
        file.write(json.dumps(told) + "\n")


with DAG("inside", schedule=EventSchedule(Event("inside"))) as inside:

    @task(outlets=[LEFT])
    def left():
        print("makes the left part")

    @task(outlets=[RIGHT])
    def right():
        print("makes the right part")

    @task(inlets=[LEFT, RIGHT])
    def join(**context):
        tell(context)

    left(), right(), join()
    by_data(inside)

with DAG("mapped", schedule=EventSchedule(Event("mapped"))) as mapped:

    @task(outlets=[PARTS])
    def part(number):
        # They end one after the other.
        time.sleep(number)

    @task(inlets=[PARTS])
    def whole(**context):
        tell(context)

    part.expand(number=[0, 2, 1])
    whole()
    by_data(mapped)

with DAG("writer", schedule=EventSchedule(Event("write"))):

    @task(outlets=[ACROSS])
    def write():
        print("makes what the other Dag reads")

    write()

with DAG("reader", schedule=EventSchedule(Event("read"))) as reader:

    @task(inlets=[ACROSS])
    def read(**context):
        tell(context)

    @task
    def close():
        print("nothing more is read")

    read()
    start_on(close(), Event("close"))
    by_data(reader)
