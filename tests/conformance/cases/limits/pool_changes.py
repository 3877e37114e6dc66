from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, task
from conformance_witness import gate, say
from conformance_triggers import Does

CASE = {"about": "a pool that is full, then grows; include_deferred; slots over the pool's size; order by weight rules; max_active_tis_per_dagrun and per_dag", "limit": 250,
        "dags": ["pool_changes", "pool_changes__def", "pool_changes__w", "pool_changes__tis"],
        "before": [{"set_pool": {"name": "pool_changes_p", "slots": 1}}, {"set_pool": {"name": "pool_changes_d", "slots": 1, "include_deferred": True}}, {"set_pool": {"name": "pool_changes_w", "slots": 0}}],
        "actions": [
            {"trigger": {"dag": "pool_changes"}}, {"witness": {"lines": 1}}, {"sleep": 4}, {"states": {}},
            {"rest": {"method": "PATCH", "path": "/pools/pool_changes_p?update_mask=slots", "body": {"pool": "pool_changes_p", "slots": 2, "include_deferred": False}}}, {"witness": {"lines": 2}}, {"sleep": 2}, {"states": {}},
            {"rest": {"method": "PATCH", "path": "/pools/pool_changes_p?update_mask=slots", "body": {"pool": "pool_changes_p", "slots": 4, "include_deferred": False}}}, {"witness": {"lines": 3}},
            {"touch": "go"}, {"rest": {"method": "PATCH", "path": "/pools/pool_changes_p?update_mask=slots", "body": {"pool": "pool_changes_p", "slots": 6, "include_deferred": False}}}, {"wait": {"dag": "pool_changes"}},
            {"trigger": {"dag": "pool_changes__def"}}, {"wait": {"dag": "pool_changes__def"}},
            {"trigger": {"dag": "pool_changes__w"}}, {"sleep": 4}, {"states": {}}, {"rest": {"method": "PATCH", "path": "/pools/pool_changes_w?update_mask=slots", "body": {"pool": "pool_changes_w", "slots": 1, "include_deferred": False}}}, {"wait": {"dag": "pool_changes__w"}},
            {"trigger": {"dag": "pool_changes__tis", "run": "t1"}}, {"trigger": {"dag": "pool_changes__tis", "run": "t2"}},
            {"wait_sql": {"sql": "select count(*) from task_instance where dag_id = 'pool_changes__tis' and state = 'running'", "equals": 3}}, {"sleep": 3},
            {"note": {"sql_name": "running", "sql": "select task_id, count(*) from task_instance where dag_id = 'pool_changes__tis' and state in ('running', 'queued') group by task_id order by 1"}},
            {"touch": "tis"}, {"wait": "runs"}],
        "mask": {"log|*": "how often a waiting task is looked at depends on the load"}}

with DAG("pool_changes", schedule=None):
    @task(pool="pool_changes_p")
    def one(x):
        say("pool_changes", "one")
        gate("pool_changes", "go")
    one.expand(x=[1, 2])

    @task(pool="pool_changes_p", pool_slots=3, priority_weight=100)
    def big():
        return 1
    big()

    @task(pool="pool_changes_p", pool_slots=5)
    def never():
        return 1

    @task(pool="pool_changes_p", priority_weight=0)
    def third():
        say("pool_changes", "third")
    third()


class W(BaseOperator):
    def execute(self, context):
        say("pool_changes", f"start {self.task_id}")
        self.defer(trigger=Does("e", 3), method_name="resume")

    def resume(self, context, event=None):
        say("pool_changes", f"end {self.task_id}")


with DAG("pool_changes__def", schedule=None):
    W(task_id="a", pool="pool_changes_d", priority_weight=2)
    W(task_id="b", pool="pool_changes_d", priority_weight=1)

with DAG("pool_changes__w", schedule=None):
    from airflow.providers.standard.operators.empty import EmptyOperator
    for rule in ("downstream", "upstream", "absolute"):
        @task(task_id=f"w_{rule}", pool="pool_changes_w", weight_rule=rule, priority_weight=2)
        def w(n=rule):
            say("pool_changes", f"weight {n}")
        w() >> [EmptyOperator(task_id=f"e{i}_{rule}", priority_weight=3 + i, weight_rule=rule) for i in range(2)]

with DAG("pool_changes__tis", schedule=None, max_active_runs=5):
    @task(max_active_tis_per_dagrun=1)
    def perrun(x):
        gate("pool_changes", "tis")
    perrun.expand(x=[1, 2, 3])

    @task(max_active_tis_per_dag=1)
    def perdag(x):
        gate("pool_changes", "tis")
    perdag.expand(x=[1, 2])
