import sys
import time
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, BaseOperator, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from conformance_witness import context_facts, say

CASE = {"about": "callbacks: sys.exit in one, a callback on mapped tasks, of empty operators, pre/post execute, templates that fail, xcom push from a callback, failing after the end, upstream_failed", "limit": 200,
        "mask": {"witness|0": "the Dag's callback is given the task that ended last"}}


def note(kind):
    def f(context):
        say("callback_ends", f"{kind} {context_facts(context)}")
    return f


CB = {f"on_{k}_callback": note(k) for k in ("execute", "success", "failure", "retry", "skipped")}


def exits(context):
    say("callback_ends", f"exits {context['ti'].task_id}")
    sys.exit(4)


def pushes(context):
    context["ti"].xcom_push("cb", context["ti"].state if hasattr(context["ti"], "state") else None)


def hook(kind):
    def f(context, result=None):
        say("callback_ends", f"{kind} {context['ti'].task_id} {result}")
        if context["ti"].task_id == "pre_raises" and kind == "pre":
            raise ValueError("pre")
        if context["ti"].task_id == "pre_skips" and kind == "pre":
            raise AirflowSkipException("pre")
        if context["ti"].task_id == "post_raises" and kind == "post":
            raise ValueError("post")
    return f


class Op(BaseOperator):
    template_fields = ("text",)

    def __init__(self, text="", **kw):
        super().__init__(**kw)
        self.text = text

    def execute(self, context):
        return self.text

    def on_kill(self):
        say("callback_ends", f"on_kill {self.task_id}")


with DAG("callback_ends", schedule=None, default_args=CB, on_success_callback=note("dag_success"), on_failure_callback=note("dag_failure")):
    for n in ("execute", "success"):
        Op(task_id=f"x_{n}", **{f"on_{n}_callback": exits}) >> EmptyOperator(task_id=f"x_{n}_d", on_execute_callback=None, on_success_callback=None, on_failure_callback=None)
    Op(task_id="badtpl", text="{{ nope.nope }}", retries=1, retry_delay=timedelta(0))
    Op(task_id="push", text="p", on_success_callback=pushes)
    for n in ("pre_raises", "pre_skips", "post_raises", "plain"):
        Op(task_id=n, text=n, pre_execute=hook("pre"), post_execute=hook("post"))

    @task
    def m(x):
        if x == 1:
            raise ValueError("1")
        if x == 2:
            time.sleep(5)  # after the failure
            raise AirflowSkipException("2")
    m.expand(x=[0, 1, 2]) >> EmptyOperator(task_id="upf")
    EmptyOperator(task_id="e_cb")
    EmptyOperator(task_id="e_out", outlets=[Asset("callback_ends_a")], on_execute_callback=None, on_success_callback=None, on_failure_callback=None, on_retry_callback=None, on_skipped_callback=None)
    BashOperator(task_id="fails_x", bash_command="exit 3", on_failure_callback=[exits, note("second")])
    BashOperator(task_id="b_skip", bash_command="exit 99")
    BashOperator(task_id="b_skip2", bash_command="exit 7", skip_on_exit_code=[7, 8])
    BashOperator(task_id="b_noskip", bash_command="exit 99", skip_on_exit_code=None)
    BashOperator(task_id="b_sig", bash_command="kill -9 $$")
    BashOperator(task_id="b_missing", bash_command="no_such_command_here")
    BashOperator(task_id="b_cwd", bash_command="pwd", cwd="/nonexistent")
    BashOperator(task_id="b_out", bash_command="echo a; echo '{\"j\": 1}'", output_processor=lambda o: __import__("json").loads(o))
    BashOperator(task_id="b_none", bash_command="echo a", do_xcom_push=False)

    @task.bash
    def tb():
        return "echo {{ ti.task_id }}"
    tb()
