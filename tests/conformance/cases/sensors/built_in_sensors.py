from datetime import time, timedelta

from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.date_time import DateTimeSensor, DateTimeSensorAsync
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time import TimeSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor, WaitSensor
from airflow.providers.standard.sensors.weekday import DayOfWeekSensor
from airflow.sdk import DAG

CASE = {
    "about": "the sensors of the standard provider, each in the ways it can wait: files with a connection, commands, functions, week days, times of the past",
    "before": [{"rest": {"method": "POST", "path": "/connections", "expect": 201, "body": {
        "connection_id": "built_in_sensors_fs", "conn_type": "fs", "extra": "{\"path\": \"/\"}"}}}],
    "actions": [{"trigger": {"logical_date": "2024-01-03T00:00:00Z"}}, {"wait": "runs"}],
    "limit": 200,
}

FS = {"fs_conn_id": "built_in_sensors_fs", "poke_interval": 1}
WAITS = {"poke_interval": 1, "timeout": 3, "soft_fail": True}

with DAG("built_in_sensors", schedule=None):
    FileSensor(task_id="file", filepath="etc/passwd", **FS)
    FileSensor(task_id="glob", filepath="etc/pass*d", **FS)
    FileSensor(task_id="folder", filepath="etc", recursive=True, **FS)
    FileSensor(task_id="no_connection", filepath="etc/passwd", fs_conn_id="built_in_sensors_none", poke_interval=1)
    FileSensor(task_id="no_file", filepath="built_in_sensors/none", fs_conn_id="built_in_sensors_fs", **WAITS)
    FileSensor(task_id="file_deferred", filepath="etc/passwd", deferrable=True, **FS)
    BashSensor(task_id="command", bash_command="exit 0", poke_interval=1)
    BashSensor(task_id="command_again", bash_command="exit 3", retry_exit_code=3, **WAITS)
    BashSensor(task_id="command_fails", bash_command="exit 4", retry_exit_code=3, poke_interval=1, timeout=3)
    PythonSensor(task_id="function", python_callable=lambda a, *, b: a + b == 3, op_args=[1], op_kwargs={"b": 2}, poke_interval=1)
    DayOfWeekSensor(task_id="wednesday", week_day="Wednesday", use_task_logical_date=True, poke_interval=1)
    DayOfWeekSensor(task_id="other_days", week_day={"Monday", "Tuesday"}, use_task_logical_date=True, **WAITS)
    DateTimeSensor(task_id="past", target_time="{{ logical_date }}", poke_interval=1)
    DateTimeSensorAsync(task_id="past_deferred", target_time="{{ logical_date }}")
    DateTimeSensorAsync(task_id="past_ended_by_trigger", target_time="{{ logical_date }}", end_from_trigger=True)
    TimeSensor(task_id="midnight", target_time=time(0, 0), poke_interval=1)
    TimeDeltaSensor(task_id="delta", delta=timedelta(hours=1), poke_interval=1)
    TimeDeltaSensor(task_id="delta_deferred", delta=timedelta(hours=1), deferrable=True, end_from_trigger=True)
    WaitSensor(task_id="waits", time_to_wait=timedelta(seconds=4), deferrable=True)
    WaitSensor(task_id="waits_here", time_to_wait=timedelta(seconds=1))
