"""Dags whose schedulers reach the database through PgBouncer: many short runs, mapped tasks, a retry, runs that events make."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task
from slipstream import Event, EventSchedule

START = datetime(2026, 1, 1, tzinfo=timezone.utc)

with DAG("hours", schedule="@hourly", start_date=START, end_date=START + timedelta(hours=11), catchup=True,
         max_active_runs=6):

    @task
    def first():
        return 1

    @task
    def second(value):
        return value + 1

    second(second(first()))

with DAG("mapped", schedule="@daily", start_date=START, end_date=START + timedelta(days=2), catchup=True):

    @task
    def numbers():
        return list(range(8))

    @task
    def doubled(number):
        return 2 * number

    @task
    def total(values):
        assert sum(values) == 56

    total(doubled.expand(number=numbers()))

with DAG("retried", schedule="@daily", start_date=START, end_date=START + timedelta(days=2), catchup=True):

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def fails_at_first(ti=None):
        if ti.try_number == 1:
            raise ValueError("the first try fails")

    fails_at_first()

with DAG("by_event", schedule=EventSchedule(Event("order.placed", where="data.number % 2 == 0"))):

    @task
    def look(dag_run=None):
        (event,) = dag_run.conf["triggering_events"]
        assert event["data"]["number"] % 2 == 0

    look()
