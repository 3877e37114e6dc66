"""Events between Dags: one Dag announces what it has made, another runs once for every announcement.

Any other program can announce as well: `slipstream events send report.wanted '{"day": "2026-01-31"}'`.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from slipstream import Event, EventSchedule, events


@dag(schedule=None, tags=["example", "events"], doc_md=__doc__)
def event_announce():
    @task
    def announce(ds=None):
        events.send("report.wanted", {"day": ds or "today"}, scope="all")

    announce()


@dag(
    schedule=EventSchedule(Event("report.wanted"), while_active="queue", lane="data.day"),
    tags=["example", "events"],
    doc_md=__doc__,
)
def event_report():
    @task
    def write(dag_run=None):
        for event in dag_run.conf.get("triggering_events", []):
            print("a report for", event["data"]["day"])

    write()


event_announce()
event_report()
