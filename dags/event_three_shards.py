"""Wait for three shards: a run for each version of the data, as soon as three different shards of it are done."""

from __future__ import annotations

from airflow.sdk import dag, task

from slipstream import Event, EventSchedule

SHARDS = Event("shard.done").by("data.version").count(3, distinct="data.shard")


@dag(schedule=EventSchedule(SHARDS, conf="data"), catchup=False, tags=["example", "events"], doc_md=__doc__)
def event_three_shards():
    @task
    def publish(dag_run=None):
        shards = sorted(event["data"]["shard"] for event in dag_run.conf["triggering_events"])
        print("version", dag_run.conf["version"], "is complete:", shards)

    publish()


event_three_shards()
