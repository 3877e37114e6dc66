"""Dags with event triggers, written straight into a metadata database: no Dag processor is needed, and no task's process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid

import psycopg2


def connect(url: str):
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


def add_dag(cursor, dag_id: str, triggers: list[dict]) -> None:
    """An active Dag with these triggers, whose one task is an empty operator: the scheduler ends it by itself."""
    cursor.execute("insert into dag_bundle (name, active) values ('dags-folder', true) on conflict do nothing")
    cursor.execute(
        "insert into dag (dag_id, is_paused, is_stale, fileloc, relative_fileloc, bundle_name, owners, timetable_type,"
        " partition_mapper_info, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,"
        " has_task_concurrency_limits, has_import_errors, exceeds_max_non_backfill)"
        " values (%s, false, false, %s, %s, 'dags-folder', 'airflow', 'airflow.timetables.simple.NullTimetable',"
        " '{}', 1000, 1000, 0, false, false, false)",
        (dag_id, f"{dag_id}.py", f"{dag_id}.py"),
    )
    task = {"task_id": "t", "task_type": "EmptyOperator", "_is_empty": True, "downstream_task_ids": []}
    timetable = {"__type": "airflow.timetables.simple.NullTimetable", "__var": {"slipstream": {"triggers": triggers}}}
    dag = {"dag_id": dag_id, "timezone": "UTC", "timetable": timetable, "max_active_runs": 1000,
           "tasks": [{"__type": "operator", "__var": task}]}
    version = str(uuid.uuid4())
    cursor.execute(
        "insert into dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)"
        " values (%s, 1, %s, 'dags-folder', now(), now())", (version, dag_id),
    )
    cursor.execute(
        "insert into serialized_dag (id, dag_id, data, created_at, last_updated, dag_hash, dag_version_id)"
        " values (%s, %s, %s, now(), now(), '0', %s)",
        (str(uuid.uuid4()), dag_id, json.dumps({"__version": 3, "dag": dag}), version),
    )


def event(number: int, key: str, data: dict, source: str = "test") -> dict:
    return {"specversion": "1.0", "id": str(number), "source": source, "type": "test", "subject": key, "data": data}


def post(port: int, events: list[dict], timeout: float = 10) -> dict:
    """Sends a batch; raises OSError when nobody answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/events", json.dumps(events).encode(),
        {"Content-Type": "application/cloudevents-batch+json"},
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)
