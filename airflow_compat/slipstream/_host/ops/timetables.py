"""Operations on timetables that are the user's: only Python knows their answers."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any


def next_run(dag_id: str, due: dict[str, Any]) -> dict[str, Any]:
    """Name the due run of a Dag and say which run comes after it.

    ``due`` holds the columns ``next_dagrun*`` of table ``dag``; the answer's ``next`` has the same form, ``None`` for
    no further run. An error of the timetable about the run after is no further run, as in Airflow's scheduler.
    """
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with create_session() as session:
        dag = SerializedDagModel.get_dag(dag_id, session=session)
    if dag is None:
        raise LookupError(f"Dag '{dag_id}' is not serialized")
    time = {name: _time(due[name]) for name in due if name != "partition_key"}
    row = SimpleNamespace(
        dag_id=dag_id,
        next_dagrun=time["next_dagrun"],
        next_dagrun_create_after=time["create_after"],
        next_dagrun_data_interval=_interval(time["data_interval_start"], time["data_interval_end"]),
        next_dagrun_data_interval_start=time["data_interval_start"],
        next_dagrun_data_interval_end=time["data_interval_end"],
        next_dagrun_partition_key=due["partition_key"],
        next_dagrun_partition_date=time["partition_date"],
    )
    info = dag.timetable.next_run_info_from_dag_model(dag_model=row)
    run_id = dag.timetable.generate_run_id(
        run_type=DagRunType.SCHEDULED,
        run_after=info.run_after,
        data_interval=info.data_interval,
        partition_key=info.partition_key,
    )
    following = dag.next_dagrun_info(last_automated_run_info=info)
    return {"run_id": run_id, "next": _columns(following)}


def _time(text: str | None) -> datetime | None:
    from airflow.utils import timezone

    return timezone.parse(text) if text else None


def _interval(start: datetime | None, end: datetime | None) -> Any:
    from airflow.timetables.base import DataInterval

    return DataInterval(start, end) if start and end else None


def _columns(info: Any) -> dict[str, Any] | None:
    if info is None:
        return None
    interval = info.data_interval
    return {
        "next_dagrun": _text(info.logical_date),
        "create_after": _text(info.run_after),
        "data_interval_start": _text(interval and interval.start),
        "data_interval_end": _text(interval and interval.end),
        "partition_key": info.partition_key,
        "partition_date": _text(info.partition_date),
    }


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


OPS = {"next_run": next_run}
