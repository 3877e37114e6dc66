"""The load of the chaos test: Dags of several kinds, whose tasks note when they begin and when they end."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, get_current_context, task
from noting import ARGS, CRON, EVERY, note, scheduled, work


@task
def numbers():
    note("begin")
    note("end")
    return [1, 2]


@task
def fail_first():
    note("begin")
    if get_current_context()["ti"].try_number < 2:
        raise ValueError("the first try fails")
    note("end")


class Deferred(BaseOperator):
    def execute(self, context):
        note("begin")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context, event=None):
        note("end")


with scheduled("chain"):
    work.override(task_id="one")() >> work.override(task_id="two", pool="narrow")()

with scheduled("minutely", "* * * * *", CRON):
    work()

with scheduled("mapped", 2 * EVERY):
    work.override(task_id="join")(work.override(pool="narrow").expand(_=numbers()))

with scheduled("retried", 2 * EVERY):
    fail_first()

with scheduled("deferred", 2 * EVERY):
    Deferred(task_id="wait")

with DAG("by_hand", schedule=None, is_paused_upon_creation=False, default_args=ARGS):
    work()
