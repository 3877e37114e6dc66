"""Variables and Connections through the configured secrets backends, as Airflow's API server looks them up."""

from __future__ import annotations

from typing import Any


def variable(key: str, team_name: str | None = None) -> str | None:
    """Return a Variable's value, or None if no backend has it."""
    from airflow.models.variable import Variable

    try:
        return Variable.get(key, team_name=team_name)
    except KeyError:
        return None


def connection(conn_id: str, team_name: str | None = None) -> dict[str, Any] | None:
    """Return a Connection's fields, or None if no backend has it."""
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection

    try:
        found = Connection.get_connection_from_secrets(conn_id, team_name=team_name)
    except AirflowNotFoundException:
        return None
    names = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
    return {name: getattr(found, name) for name in names}


OPS = {"variable": variable, "connection": connection}
