"""Branching: the first task chooses which of two goes on; the last runs after whichever did. Trigger it with {"rows": 5}."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, TriggerRule, dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"rows": Param(100, type="integer", minimum=0)}, tags=["example"], doc_md=__doc__)
def choose_a_path():
    @task.branch
    def how_many(params: dict) -> str:
        return "in_one_go" if params["rows"] < 10 else "in_batches"

    @task
    def in_one_go():
        print("few rows: one go")

    @task
    def in_batches():
        print("many rows: in batches")

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def report():
        print("done")

    how_many() >> [in_one_go(), in_batches()] >> report()


choose_a_path()
