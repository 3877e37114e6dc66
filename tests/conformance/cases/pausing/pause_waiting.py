from datetime import datetime, timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, task, TaskGroup
from conformance_witness import gate, is_open
CASE = {
    "about": "a Dag is paused while tasks wait for retry, are deferred, rescheduled, queued runs exist; then unpaused",
    "actions": [
        {"trigger": {"run": "r1"}},
        {"wait_ti": {"run": "r1", "task": "retry", "state": "up_for_retry"}},
        {"wait_ti": {"run": "r1", "task": "poke", "state": "up_for_reschedule"}},
        {"wait_ti": {"run": "r1", "task": "held", "state": "running"}},
        {"trigger": {"run": "r2"}},
        {"pause": ""},
        {"touch": "go"},
        {"trigger": {"run": "r3"}},
        {"states": {"after": 12}},
        {"unpause": ""},
        {"wait": "runs"},
    ],
    "mask": {"reschedules": "how often a sensor looks depends on the load",
        "log": "how often a sensor looks depends on the load",
        "answers|*|*|pause_waiting/r1/poke": "how often a sensor looks depends on the load"},
}
with DAG("pause_waiting", schedule=None, max_active_runs=1):
    @task(retries=1, retry_delay=timedelta(seconds=4))
    def retry():
        if not is_open("pause_waiting"):
            raise ValueError("x")
    @task.sensor(poke_interval=3, mode="reschedule")
    def poke():
        return is_open("pause_waiting")
    @task
    def held():
        gate("pause_waiting")
    @task
    def last(): pass
    [retry(), poke(), held()] >> last()
