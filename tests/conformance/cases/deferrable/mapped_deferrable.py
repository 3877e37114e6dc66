from datetime import timedelta

from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, PokeReturnValue, task, task_group
from conformance_triggers import Does
from conformance_witness import is_open, say

CASE = {
    "about": "mapped tasks that defer, with every way to go on, one that is tried again; mapped sensors; a mapped group that defers; copies cleared afterwards",
    "limit": 200,
    "actions": [
        {"trigger": {}},
        {"wait": "runs"},
        {"clear": {"task_ids": [["waits", 2], ["back.second", 1]], "only_failed": False}},
        {"wait": "runs"},
    ],
}


class Waits(BaseOperator):
    def __init__(self, what, **kwargs):
        super().__init__(**kwargs)
        self.what = what

    def execute(self, context):
        self.defer(trigger=Does(self.what), method_name="resume", kwargs={"n": context["ti"].map_index})

    def resume(self, context, n, event=None):
        ti = context["ti"]
        say("mapped_deferrable", f"resumed {ti.task_id}[{ti.map_index}] try {ti.try_number} n={n} {event}")
        if n == 1 and ti.try_number == 1:
            raise ValueError("once more")
        return n


class Opens(BaseSensorOperator):
    def __init__(self, name, **kwargs):
        super().__init__(**kwargs)
        self.name = name

    def poke(self, context):
        if context["ti"].map_index == 1 or is_open("mapped_deferrable", self.name):
            return PokeReturnValue(is_done=True, xcom_value=self.name)
        return False


with DAG("mapped_deferrable", schedule=None):
    waits = Waits.partial(task_id="waits", retries=1, retry_delay=timedelta(0)).expand(what=["event", "again", "third", "raise"])
    Waits.partial(task_id="ends").expand(what=["success", "failed", "skipped"])
    Opens.partial(task_id="opens", mode="reschedule", poke_interval=8, timeout=12, soft_fail=True).expand(name=["never", "at_once"])

    @task(trigger_rule="all_done")
    def after(values):
        return sorted(value for value in values if value is not None)

    after(waits.output)

    @task_group(group_id="back")
    def back(what):
        @task
        def first(what):
            return what

        got = first(what)
        second = Waits(task_id="second", what="event")
        got >> second
        return second

    back.expand(what=["a", "b"])
