from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, PokeReturnValue, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from conformance_witness import is_open

CASE = {"about": "sensors: timeouts hard and soft in both modes, soft fail on an error, never_fail, retries, mapped",
        "limit": 250,
        "mask": {"reschedules": "how often a sensor looks depends on the load",
        "log|*: running": "how often a sensor looks depends on the load",
        "log|*: up_for_reschedule": "how often a sensor looks depends on the load",
        "runs|*|tasks|*|times_in_order": "how often a sensor looks depends on the load"}}

with DAG("sensor_ends", schedule=None):
    for mode in ("poke", "reschedule"):
        pi = 1 if mode == "poke" else 5
        tm = 2 if mode == "poke" else 6
        kw = dict(mode=mode, poke_interval=pi, timeout=tm)
        PythonSensor(task_id=f"{mode}_hard", python_callable=lambda: False, **kw) >> EmptyOperator(task_id=f"{mode}_hard_d")
        PythonSensor(task_id=f"{mode}_soft", python_callable=lambda: False, soft_fail=True, **kw) >> EmptyOperator(task_id=f"{mode}_soft_d")
        PythonSensor(task_id=f"{mode}_retry", python_callable=lambda: False, retries=2, retry_delay=timedelta(seconds=4), **kw)

        def boom():
            raise ValueError("boom")
        PythonSensor(task_id=f"{mode}_err", python_callable=boom, soft_fail=False, retries=1, retry_delay=timedelta(seconds=4), **kw)
        PythonSensor(task_id=f"{mode}_err_soft", python_callable=boom, soft_fail=True, **kw)
        PythonSensor(task_id=f"{mode}_never", python_callable=boom, never_fail=True, **kw)

        def skips():
            raise AirflowSkipException("s")
        PythonSensor(task_id=f"{mode}_skip", python_callable=skips, **kw)

    @task.sensor(mode="reschedule", poke_interval=5, timeout=60)
    def m(x, ti=None):
        return PokeReturnValue(is_done=x == 1 or ti.task_reschedule_count > 0, xcom_value=x)
    m.expand(x=[1, 2])
    PythonSensor(task_id="expo", python_callable=lambda: True, mode="reschedule", poke_interval=5, exponential_backoff=True, max_wait=timedelta(seconds=9))
