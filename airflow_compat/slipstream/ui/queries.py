"""What the page shows, read from the metadata database: our tables and a few of Airflow's. Nothing is written here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import bindparam, inspect, text
from sqlalchemy.orm import Session

Rows = list[dict[str, Any]]

EVENTS_SHOWN = 200
RUNS_SHOWN = 30
BARS_SHOWN = 2000
JSON_COLUMNS = frozenset({"data", "extensions", "spec", "events", "filter"})
TIME_COLUMNS = frozenset(
    {"time", "received_at", "created_at", "updated_at", "fired_at", "done_at", "start_date", "end_date", "latest_heartbeat"}
)


def rows(session: Session, sql: str, **values: Any) -> Rows:
    """Return the rows of a query; lists among the values are for ``IN``."""
    statement = text(sql)
    for name, value in values.items():
        if isinstance(value, (list, tuple, set)):
            statement = statement.bindparams(bindparam(name, expanding=True))
            values[name] = list(value)
    return [{name: _told(name, value) for name, value in row._mapping.items()} for row in session.execute(statement, values)]


def _told(name: str, value: Any) -> Any:
    """Return a value as JSON has it: SQLite has neither JSON nor times."""
    if isinstance(value, str) and name in JSON_COLUMNS:
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, str) and name in TIME_COLUMNS:
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).isoformat()
    return value


def are_there(session: Session) -> bool:
    """Whether a Slipstream scheduler has run on this database, so that our tables exist."""
    return inspect(session.connection()).has_table("slipstream_trigger")


def jobs(session: Session) -> Rows:
    """Return the living schedulers, Dag processors and triggerers."""
    return rows(
        session,
        "SELECT id, job_type, hostname, unixname, start_date, latest_heartbeat FROM job WHERE state = 'running' "
        "AND job_type IN ('SchedulerJob', 'DagProcessorJob', 'TriggererJob') ORDER BY job_type, id",
    )


def counts(session: Session) -> dict[str, int]:
    """Return how much there is of everything."""
    [found] = rows(
        session,
        "SELECT (SELECT max(last_position) FROM slipstream_log_head) AS events, "
        "(SELECT count(*) FROM slipstream_trigger WHERE status = 'active') AS triggers, "
        "(SELECT count(*) FROM slipstream_dead_letter WHERE status = 'parked') AS parked, "
        "(SELECT count(*) FROM slipstream_firing WHERE status = 'failed') AS failed, "
        "(SELECT count(*) FROM slipstream_firing WHERE status = 'pending') AS pending",
    )
    [behind] = rows(
        session,
        "SELECT (SELECT max(last_position) FROM slipstream_log_head) - coalesce(max(position), 0) AS behind "
        "FROM slipstream_cursor WHERE name = 'engine'",
    )
    return {**found, **behind}


def events(session: Session, after: int, key: str | None) -> Rows:
    """Return the newest events after a position, newest first."""
    like = "" if not key else "AND key LIKE :key ESCAPE '\\' "
    values = {"key": _pattern(key)} if key else {}
    return rows(
        session,
        "SELECT position, namespace, key, type, source, sender, time, scope_dag_id, scope_run_id, data "
        f"FROM slipstream_event WHERE position > :after {like}ORDER BY position DESC LIMIT {EVENTS_SHOWN}",
        after=after,
        **values,
    )


def _pattern(key: str) -> str:
    for special in "\\%_":
        key = key.replace(special, "\\" + special)
    return key.replace("*", "%")


def triggers(session: Session, dags: Iterable[str]) -> Rows:
    """Return the triggers of these Dags, with how often each has fired and what it could not judge."""
    return rows(
        session,
        "SELECT t.name, t.dag_id, t.task_id, t.origin, t.status, t.spec, t.updated_at, "
        "(SELECT count(*) FROM slipstream_firing f WHERE f.trigger_id = t.id) AS firings, "
        "(SELECT max(fired_at) FROM slipstream_firing f WHERE f.trigger_id = t.id) AS fired_at, "
        "(SELECT count(*) FROM slipstream_dead_letter d WHERE d.trigger_id = t.id AND d.status = 'parked') AS parked "
        "FROM slipstream_trigger t WHERE t.dag_id IN :dags ORDER BY t.name",
        dags=list(dags),
    )


def letters(session: Session, dags: Iterable[str]) -> Rows:
    """Return what waits for a person: parked events, and firings whose effect failed."""
    return rows(
        session,
        "SELECT t.name, t.dag_id, t.task_id, d.run_id, d.position, d.error, d.attempts, d.created_at, 'parked' AS kind "
        "FROM slipstream_dead_letter d JOIN slipstream_trigger t ON t.id = d.trigger_id "
        "WHERE d.status = 'parked' AND t.dag_id IN :dags "
        "UNION ALL SELECT t.name, t.dag_id, t.task_id, f.scope_run_id, f.position, f.reason, 1, f.fired_at, 'failed' "
        "FROM slipstream_firing f JOIN slipstream_trigger t ON t.id = f.trigger_id "
        f"WHERE f.status = 'failed' AND t.dag_id IN :dags ORDER BY 5 DESC LIMIT {EVENTS_SHOWN}",
        dags=list(dags),
    )


def firings(session: Session, dags: Iterable[str]) -> Rows:
    """Return the latest firings of the triggers of these Dags."""
    return rows(
        session,
        "SELECT t.name, f.dag_id, f.task_id, f.position, f.correlation, f.action, f.status, f.reason, f.result_run_id, f.fired_at "
        "FROM slipstream_firing f JOIN slipstream_trigger t ON t.id = f.trigger_id "
        f"WHERE f.dag_id IN :dags ORDER BY f.fired_at DESC LIMIT {RUNS_SHOWN}",
        dags=list(dags),
    )


def executions(session: Session, dags: Iterable[str]) -> Rows:
    """Return the tasks that events start and stop, in running runs: which execution goes on, and why."""
    return rows(
        session,
        "SELECT e.dag_id, e.run_id, e.task_id, e.map_index, e.sequence, e.created_at, ti.state, ti.try_number, "
        "ti.start_date, f.position, t.name AS caused_by "
        "FROM slipstream_execution e "
        "JOIN dag_run r ON r.dag_id = e.dag_id AND r.run_id = e.run_id AND r.state = 'running' "
        "LEFT JOIN task_instance ti ON ti.dag_id = e.dag_id AND ti.run_id = e.run_id AND ti.task_id = e.task_id "
        "AND ti.map_index = e.map_index "
        "LEFT JOIN slipstream_firing f ON f.id = e.firing_id LEFT JOIN slipstream_trigger t ON t.id = f.trigger_id "
        "WHERE e.dag_id IN :dags AND e.sequence = (SELECT max(sequence) FROM slipstream_execution m "
        "WHERE m.dag_id = e.dag_id AND m.run_id = e.run_id AND m.task_id = e.task_id AND m.map_index = e.map_index) "
        f"ORDER BY e.dag_id, e.run_id, e.task_id, e.map_index LIMIT {EVENTS_SHOWN}",
        dags=list(dags),
    )


def runs(session: Session, dags: Iterable[str]) -> Rows:
    """Return the latest runs that have started."""
    return rows(
        session,
        "SELECT dag_id, run_id, run_type, state, start_date, end_date FROM dag_run WHERE dag_id IN :dags "
        f"AND start_date IS NOT NULL ORDER BY start_date DESC LIMIT {RUNS_SHOWN}",
        dags=list(dags),
    )


def bars(session: Session, dag_id: str, run_id: str) -> Rows:
    """Return every try of a run, those of the past too, by their start."""
    columns = "task_id, map_index, try_number, state, start_date, end_date"
    return rows(
        session,
        f"SELECT {columns} FROM task_instance WHERE dag_id = :dag_id AND run_id = :run_id AND start_date IS NOT NULL "
        f"UNION ALL SELECT {columns} FROM task_instance_history WHERE dag_id = :dag_id AND run_id = :run_id "
        f"AND start_date IS NOT NULL ORDER BY start_date LIMIT {BARS_SHOWN}",
        dag_id=dag_id,
        run_id=run_id,
    )
