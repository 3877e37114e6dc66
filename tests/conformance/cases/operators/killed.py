import time
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator
from conformance_witness import context_facts, is_open, say

CASE = {
    "about": "tasks stopped while they run, what on_kill and callbacks hear: marked in each way, cleared, over their time, their run marked; a command with children",
    "dags": ["killed", "killed__run"],
    "actions": [
        {"trigger": {}}, {"trigger": {"dag": "killed__run"}},
        {"witness": {"has": "started success"}}, {"witness": {"has": "started failed"}}, {"witness": {"has": "started skipped"}}, {"witness": {"has": "started cleared"}}, {"witness": {"has": "started run"}}, {"witness": {"has": "started command"}},
        {"touch": "second"},
        {"patch_ti": {"task": "success", "state": "success"}},
        {"patch_ti": {"task": "failed", "state": "failed"}},
        {"patch_ti": {"task": "skipped", "state": "skipped"}},
        {"patch_ti": {"task": "command", "state": "failed"}},
        {"clear": {"task_ids": ["cleared"]}},
        {"patch_run": {"dag": "killed__run", "state": "success"}},
        {"witness": {"has": "on_kill success"}}, {"witness": {"has": "on_kill failed"}}, {"witness": {"has": "on_kill skipped"}}, {"witness": {"has": "on_kill cleared"}}, {"witness": {"has": "on_kill run"}},
        {"wait": "runs"},
        {"sleep": 3},
    ],
    "db": ["postgres"],
    "state_mismatch": True,
    "limit": 200,
}


def note(kind):
    def f(context):
        say("killed", f"{kind} {context_facts(context)}")

    return f


class Sleeps(BaseOperator):
    def execute(self, context):
        ti = context["ti"]
        say("killed", f"started {ti.task_id} {ti.try_number}")
        if ti.task_id == "cleared" and is_open("killed", "second"):
            return "second"
        time.sleep(100)

    def on_kill(self):
        say("killed", f"on_kill {self.task_id}")


ARGS = {f"on_{k}_callback": note(k) for k in ("success", "failure", "retry", "skipped")}
with DAG("killed", schedule=None, default_args=ARGS):
    for name in ("success", "failed", "skipped", "cleared"):
        Sleeps(task_id=name, retries=1, retry_delay=timedelta(0)) >> EmptyOperator(task_id=f"behind_{name}", on_success_callback=None)
    Sleeps(task_id="late", execution_timeout=timedelta(seconds=2))
    BashOperator(task_id="command", bash_command="trap 'echo term >> $WITNESS_DIR/killed.txt' TERM; echo started command >> $WITNESS_DIR/killed.txt; sleep 100 & sleep 100 & wait; sleep 0.1")

with DAG("killed__run", schedule=None, default_args=ARGS):
    Sleeps(task_id="run", retries=1) >> EmptyOperator(task_id="behind", on_success_callback=None)
