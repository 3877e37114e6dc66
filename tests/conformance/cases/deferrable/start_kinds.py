from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs
from conformance_witness import context_facts, say

CASE = {
    "about": "tasks that start in the triggerer: sensors, copies, a retry, events that end them, a trigger that is not there, keyword arguments, templates, cleared",
    "actions": [
        {"trigger": {"logical_date": "2024-01-03T00:00:00Z"}},
        {"wait": "runs"},
        {"clear": {"task_ids": ["ends_success", "retried"]}},
        {"wait": "runs"},
    ],
    "limit": 250,
    # SQLite gives the ids of deleted triggers again, and the (unmodified) triggerer does not start a second one of the same id.
    "db": ["postgres"],
}


def note(kind):
    def f(context):
        say("start_kinds", f"{kind} {context_facts(context)}")

    return f


CALLBACKS = {f"on_{k}_callback": note(k) for k in ("execute", "success", "failure", "retry", "skipped")}


class Direct(BaseOperator):
    start_from_trigger = True

    def __init__(self, what="event", trigger="conformance_triggers.Does", kwargs=None, timeout=None, **kw):
        super().__init__(**kw)
        self.what = what
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=trigger, trigger_kwargs={"what": what, "seconds": 3}, next_method="resume", next_kwargs=kwargs, timeout=timeout
        )

    def execute(self, context):
        raise RuntimeError("not reached")

    def resume(self, context, event=None, extra=None):
        ti = context["ti"]
        say("start_kinds", f"resume {ti.task_id} try {ti.try_number} extra {extra} {event}")
        if ti.task_id == "retried" and ti.try_number == 1:
            raise ValueError("once more")
        return extra


with DAG("start_kinds", schedule=None, default_args=CALLBACKS):
    Direct(task_id="plain", kwargs={"extra": [1, {"a": None}]})
    Direct(task_id="retried", retries=1, retry_delay=timedelta(0))
    for what in ("success", "failed", "skipped", "raise"):
        Direct(task_id=f"ends_{what}", what=what) >> EmptyOperator(task_id=f"behind_{what}", trigger_rule="none_failed")
    Direct(task_id="no_trigger", trigger="conformance_triggers.Nowhere", retries=1, retry_delay=timedelta(0))
    Direct(task_id="late", what="event", timeout=timedelta(seconds=0))
    DateTimeSensorAsync(task_id="past", target_time="{{ logical_date }}", start_from_trigger=True)
    DateTimeSensorAsync(task_id="past_ended", target_time="2024-01-01T00:00:00+00:00", start_from_trigger=True, end_from_trigger=True)
    DateTimeSensorAsync.partial(task_id="copies", start_from_trigger=True).expand(target_time=["2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00"])
