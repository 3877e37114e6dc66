"""A run that an event makes: two endless tasks, tasks that wait for events, a stop when the training has succeeded."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task
from slipstream import Event, EventSchedule, TaskState, restart_on, start_on, stop_on, streaming

OUT = Path(os.environ["EVENTS_TEST_OUT"])
ENDLESS = "trap 'echo $NAME >> {out}/killed; exit 0' TERM; while true; do sleep 0.1; done".format(out=OUT)

with DAG("stream_and_train", schedule=EventSchedule(Event("begin"))):
    ingest = streaming(BashOperator(task_id="ingest", bash_command=ENDLESS, env={"NAME": "ingest"}, retries=2))
    serve = streaming(BashOperator(task_id="serve", bash_command=ENDLESS, env={"NAME": "serve"}))

    @task
    def train(**context):
        (OUT / "told").write_text(json.dumps(context["triggering_events"]))

    @task
    def follow():
        print("follows a task that never ends")

    @task
    def alarm():
        print("nobody called")

    trained, followed = train(), follow()
    ingest >> followed
    start_on(trained, Event("batch.prepared"))
    start_on(followed, TaskState(ingest, "running"))
    start_on(alarm(), Event("alarm"), mode="event_only")
    restart_on(serve, Event("model.published"))
    stop_on(ingest, TaskState(trained, "success"), mark="success")
    stop_on(serve, TaskState(trained, "success"), mark="skipped", grace=20)
