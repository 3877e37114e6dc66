from datetime import timedelta

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.exceptions import AirflowFailException
from conformance_witness import context_facts, say

CASE = {
    "about": "retry policies: a rule that fails at once, one with a delay of its own, one by name and for subclasses, none that fits, no tries left",
}

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=PermissionError, action=RetryAction.FAIL, reason="never again"),
        RetryRule(exception="builtins.ConnectionError", action=RetryAction.RETRY, retry_delay=timedelta(seconds=1), reason="soon"),
        RetryRule(exception=LookupError, retry_delay=timedelta(seconds=2)),
    ],
)


def again(context):
    say("retry_policies", f"retry {context_facts(context)}")


def ended(context):
    say("retry_policies", f"failure {context_facts(context)}")


ARGS = {
    "retry_policy": POLICY, "retries": 2, "retry_delay": timedelta(seconds=3),
    "on_retry_callback": again, "on_failure_callback": ended,
}

with DAG("retry_policies", schedule=None, default_args=ARGS):

    @task
    def refused():
        raise PermissionError("no")

    @task
    def lost(ti=None):
        if ti.try_number == 1:
            raise ConnectionResetError("a subclass")

    @task
    def unknown_key(ti=None):
        if ti.try_number < 3:
            raise KeyError("k")

    @task
    def other(ti=None):
        if ti.try_number == 1:
            raise ValueError("no rule")

    @task
    def always():
        raise ConnectionError("each time")

    @task
    def fails():
        raise AirflowFailException("whatever the policy says")

    @task(retries=0)
    def no_retries():
        raise ConnectionError("there are none")

    @task
    def mapped(x, ti=None):
        if x and ti.try_number == 1:
            raise [None, PermissionError("no"), IndexError("i")][x]

    [refused(), lost(), unknown_key(), other(), always(), fails(), no_retries()]
    mapped.expand(x=[0, 1, 2])
