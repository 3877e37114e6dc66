"""Task groups, setup and teardown: a resource that exists only while the tasks that need it run, and is removed in any case."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import dag, setup, task, task_group, teardown


@dag(schedule=None, start_date=datetime(2026, 1, 1), tags=["example"], doc_md=__doc__)
def task_groups():
    @setup
    def make_cluster() -> str:
        return "cluster-1"

    @teardown
    def remove_cluster(name: str):
        print(f"{name} is gone")

    @task_group
    def analyse():
        @task
        def load() -> int:
            return 3

        @task
        def count(n: int):
            print(n)

        count(load())

    cluster = make_cluster()
    cluster >> analyse() >> remove_cluster(cluster)


task_groups()
