"""A streaming job that is restarted on a new model: `serve` runs without an end, and begins anew for every model.

Send `model.published` with a version to restart it, and `serving.stop` to end it, and with it the run.
"""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from slipstream import Event, restart_on, stop_on, streaming

SERVE = """
version={{ (ti.xcom_pull(task_ids=ti.task_id, key="triggering_events") or [{"data": {"version": 0}}])[-1]["data"]["version"] }}
echo "serving model $version"
trap 'echo "closing model $version"; exit 0' TERM
while true; do sleep 1 & wait $!; done
"""


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_new_model():
    load = BashOperator(task_id="load", bash_command="echo the first model is there")
    serve = streaming(BashOperator(task_id="serve", bash_command=SERVE))
    load >> serve
    restart_on(serve, Event("model.published"), grace=30)
    stop_on(serve, Event("serving.stop"), mark="success", grace=30)


event_new_model()
