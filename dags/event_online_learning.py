"""Online machine learning: two tasks that never end by themselves, and three that events start again and again.

`preprocess` announces data; each announcement starts a training, each training a validation, each valid model a deployment.
`predict` is restarted with every model that is deployed. The run ends after the third deployment.
"""

from __future__ import annotations

import time

from airflow.sdk import dag, task

from slipstream import Event, TaskState, events, restart_on, start_on, stop_on, streaming


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_online_learning():
    @task
    def preprocess():
        batch = 0
        while True:
            batch += 1
            events.send("data.prepared", {"batch": batch})
            time.sleep(3)

    @task
    def train(triggering_events=None):
        print("training with batch", triggering_events[-1]["data"]["batch"])

    @task
    def validate():
        events.send("model.validated", {"score": 0.9})

    @task
    def deploy(triggering_events=None):
        events.send("model.deployed", triggering_events[-1]["data"])

    @task
    def predict(triggering_events=None):
        model = triggering_events[-1]["data"] if triggering_events else "none yet"
        print("predicting with model", model)
        while True:
            time.sleep(1)

    prepared, served = streaming(preprocess()), streaming(predict())
    trained, validated, deployed = train(), validate(), deploy()
    start_on(trained, Event("data.prepared"), when_running="queue", at_most=3)
    start_on(validated, TaskState(trained), when_running="queue")
    start_on(deployed, Event("model.validated", where="data.score > 0.8"), when_running="queue")
    # Python code does not notice that it should end, so it need not be waited for.
    restart_on(served, Event("model.deployed"), grace=1)
    for endless in (prepared, served):
        stop_on(endless, TaskState(deployed).count(3), mark="success", grace=1)


event_online_learning()
