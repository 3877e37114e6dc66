"""Waiting without holding a worker: a sensor that looks again every few seconds, and a wait that the triggerer does."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import gettempdir

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import PokeReturnValue, dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1), tags=["example"], doc_md=__doc__)
def wait_for_file():
    place = Path(gettempdir()) / "slipstream-example-arrived"

    @task.bash
    def someone_delivers() -> str:
        return f"sleep 8 && date > {place}"

    @task.sensor(poke_interval=5, timeout=120, mode="reschedule")
    def arrived() -> PokeReturnValue:
        return PokeReturnValue(is_done=place.exists(), xcom_value=str(place))

    @task
    def take(path: str):
        print(Path(path).read_text())
        Path(path).unlink()

    pause = TimeDeltaSensor(task_id="pause", delta=timedelta(seconds=2), deferrable=True)
    someone_delivers()
    take(arrived()) >> pause


wait_for_file()
