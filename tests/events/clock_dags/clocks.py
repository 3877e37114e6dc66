"""Clocks in runs that events make: ticks, absence, and a periodic task that is stopped before its first tick."""

from __future__ import annotations

from airflow.sdk import DAG, task
from slipstream import Event, EventSchedule, periodic, start_on, stop_on

with DAG("ticking", schedule=EventSchedule(Event("ticking"))):

    @task
    def tick():
        print("again")

    @task
    def alarm():
        print("nothing was heard")

    start_on(alarm(), Event("beat").none_for(seconds=1), at_most=1)
    stop_on(periodic(tick(), interval=1), Event("enough"))

with DAG("early", schedule=EventSchedule(Event("early"))):

    @task
    def never():
        print("its first tick is an hour away")

    @task
    def always():
        print("runs as ever")

    always()
    stop_on(periodic(never(), interval=3600), Event("enough"))
