"""Serialised Dags and moments, as the other operations need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.serialization.definitions.dag import SerializedDAG
    from pendulum import DateTime
    from sqlalchemy.orm import Session


def latest_dag(dag_id: str, session: Session) -> SerializedDAG:
    """Return the newest version of a Dag."""
    from airflow.models.serialized_dag import SerializedDagModel

    row = SerializedDagModel.get(dag_id, session=session)
    if row is None:
        raise LookupError(f"Dag {dag_id} is not in the serialized_dag table")
    # Set, as the scheduler's own bag of Dags does.
    row.load_op_links = False
    return row.dag


def moment(text: str | None) -> DateTime | None:
    """Read a moment."""
    import pendulum

    return pendulum.parse(text) if text else None  # type: ignore[return-value]


def text(time: Any) -> str | None:
    """Write a moment, in UTC."""
    from airflow._shared.timezones import timezone

    return timezone.convert_to_utc(time).isoformat() if time else None
