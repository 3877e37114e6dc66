from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, get_current_context, task
from airflow.sdk.exceptions import (
    AirflowException, AirflowFailException, AirflowRescheduleException, AirflowSensorTimeout, AirflowSkipException, AirflowTaskTerminated, AirflowTaskTimeout, TaskDeferred,
)
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.utils import timezone
from conformance_triggers import Does
from conformance_witness import context_facts, say

CASE = {
    "about": "what a task may raise, with a retry left: each of Airflow's own exceptions, groups, chains, exits, deferrals that cannot be, and the callbacks that hear of it",
    "limit": 250,
}


def note(kind):
    def f(context):
        say("exception_kinds", f"{kind} {context_facts(context)}")

    return f


class Odd(BaseException):
    pass


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.f = lambda: b


KINDS = {
    "plain": lambda: AirflowException("plain"),
    "timeout": lambda: AirflowTaskTimeout("late"),
    "sensor_timeout": lambda: AirflowSensorTimeout("late"),
    "terminated": lambda: AirflowTaskTerminated("ended"),
    "fail": lambda: AirflowFailException("at once"),
    "skip": lambda: AirflowSkipException("skipped"),
    "group": lambda: ExceptionGroup("g", [ValueError("1"), AirflowFailException("2")]),
    "base": lambda: Odd("base"),
    "exit_zero": lambda: SystemExit(0),
    "exit_none": lambda: SystemExit(),
    "exit_text": lambda: SystemExit("text"),
    "interrupt": lambda: KeyboardInterrupt(),
    "stop": lambda: StopIteration("stop"),
    "memory": lambda: MemoryError("none left"),
    "unpicklable": lambda: Unpicklable("a", "b"),
    "long": lambda: ValueError("x" * 5000 + "\x00é"),
    "recursion": lambda: (lambda f: f(f))(lambda f: f(f)),
}


class Defers(BaseOperator):
    def __init__(self, what, **kw):
        super().__init__(**kw)
        self.what = what

    def execute(self, context):
        if self.what == "no_method":
            self.defer(trigger=Does("event", 6), method_name="nowhere")
        if self.what == "kwargs":
            self.defer(trigger=Does("event", 6), method_name="resume", kwargs={"bad": object()})
        if self.what == "trigger_kwargs":
            self.defer(trigger=Does(object(), 6), method_name="resume")
        if self.what == "missing_kwargs":
            self.defer(trigger=Does("event", 6), method_name="needs")
        if self.what == "raised":
            raise TaskDeferred(trigger=TimeDeltaTrigger(timedelta(seconds=6)), method_name="resume")

    def resume(self, context, event=None):
        return "resumed"

    def needs(self, context, must, event=None):
        return must


with DAG("exception_kinds", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(0), **{f"on_{k}_callback": note(k) for k in ("failure", "success", "retry", "skipped")}}):
    for name in KINDS:

        @task(task_id=name)
        def f(kind=name):
            raise KINDS[kind]()

        f()

    @task
    def reschedules(ti=None):
        if ti.get_first_reschedule_date(get_current_context()) is None:
            raise AirflowRescheduleException(timezone.utcnow() + timedelta(seconds=5))
        return ti.try_number

    reschedules()
    for what in ("no_method", "kwargs", "trigger_kwargs", "missing_kwargs", "raised"):
        Defers(task_id=f"defers_{what}", what=what)
