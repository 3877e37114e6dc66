"""Dags that start on messages of Kafka and of NATS."""

import json
import os
from pathlib import Path

from airflow.sdk import DAG, task

from slipstream import Event, EventSchedule

for source, event_type in (("kafka", "order.placed"), ("nats", "reading")):
    with DAG(f"from_{source}", schedule=EventSchedule(Event(type=event_type, where="data.start"))):

        @task
        def look(dag_run=None, source=source):
            """Write down what started this run."""
            (event,) = dag_run.conf["triggering_events"]
            with (Path(os.environ["SOURCES_TEST_OUT"]) / source).open("a") as out:
                out.write(json.dumps(event) + "\n")

        look()
