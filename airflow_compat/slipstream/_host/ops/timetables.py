"""Timetables of the user's: what only their Python can say."""

from __future__ import annotations

from typing import Any

from .serialized import latest_dag, moment, text

FIELDS = {
    "next_dagrun": "next_dagrun",
    "create_after": "next_dagrun_create_after",
    "data_interval_start": "next_dagrun_data_interval_start",
    "data_interval_end": "next_dagrun_data_interval_end",
    "partition_date": "next_dagrun_partition_date",
}
"""The moments of a next run: how we call them, and the columns of ``dag``."""


def next_run(dag_id: str, due: dict[str, str | None]) -> dict[str, Any]:
    """Name the run that is due and calculate the one after it, as ``SchedulerJobRunner._create_dag_runs`` does."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    with create_session() as session:
        dag = latest_dag(dag_id, session)
        row = DagModel(dag_id=dag_id)
        for ours, column in FIELDS.items():
            setattr(row, column, moment(due.get(ours)))
        row.next_dagrun_partition_key = due.get("partition_key")
        info = dag.timetable.next_run_info_from_dag_model(dag_model=row)
        if info is None:
            raise ValueError(f"the timetable of Dag {dag_id} does not know the run that is due")
        run_id = dag.timetable.generate_run_id(
            run_type=DagRunType.SCHEDULED,
            run_after=info.run_after,
            data_interval=info.data_interval,
            partition_key=info.partition_key,
        )
        run = DagRun(
            dag_id=dag_id,
            run_id=run_id,
            logical_date=info.logical_date,
            data_interval=info.data_interval,
            run_after=info.run_after,
            run_type=DagRunType.SCHEDULED,
            partition_key=info.partition_key,
            partition_date=info.partition_date,
        )
        row.calculate_dagrun_date_fields(dag, reference_run=run)
        after = {ours: text(getattr(row, column)) for ours, column in FIELDS.items()}
        after["partition_key"] = row.next_dagrun_partition_key
        # Neither row is one of the database's.
        session.expunge_all()
    return {"run_id": run_id, "next": after if row.next_dagrun_create_after else None}


def manual_interval(dag_id: str, run_after: str) -> dict[str, str | None]:
    """Infer the data interval of a run that someone triggers."""
    from airflow.utils.session import create_session

    with create_session() as session:
        timetable = latest_dag(dag_id, session).timetable
        interval = timetable.infer_manual_data_interval(run_after=moment(run_after))
    return {"start": text(interval.start), "end": text(interval.end)}


OPS = {"next_run": next_run, "manual_interval": manual_interval}
