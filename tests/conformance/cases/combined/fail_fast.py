from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, task, setup, teardown
from conformance_witness import gate, say, is_open
CASE = {
    "about": "fail_fast: the rest is failed or skipped, teardowns still run",
    "actions": [{"trigger": {}}, {"wait_ti": {"task": "held", "state": "running"}}, {"wait_ti": {"task": "deferred", "state": "deferred"}}, {"touch": "fail"}, {"wait": "runs"}, {"sleep": 3}, {"clear": {"only_failed": True}}, {"wait": "runs"}],
    "state_mismatch": True,
}
with DAG("fail_fast", schedule=None, fail_fast=True):
    @task
    def fails(ti=None):
        if ti.try_number == 1:
            gate("fail_fast", "fail")
            raise ValueError("x")
    @task
    def held(ti=None):
        if ti.try_number == 1:
            gate("fail_fast", "never")
    @task
    def mapped(x):
        pass
    @setup
    def su():
        pass
    @teardown
    def td():
        pass
    d = DateTimeSensorAsync(task_id="deferred", target_time="{{ '2200-01-01T00:00:00+00:00' if ti.try_number == 1 else '2020-01-01T00:00:00+00:00' }}")
    f = fails()
    f >> EmptyOperator(task_id="below") >> mapped.expand(x=[1, 2])
    s, t = su(), td()
    s >> held() >> t
    s >> t
