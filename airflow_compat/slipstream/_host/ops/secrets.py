"""Variables and Connections in the deployment's own secrets backend (``[secrets] backend``)."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")
"""What a connection is made of."""


@cache
def backend() -> Any:
    """Make the backend, as Airflow's API server does."""
    from airflow.configuration import get_custom_secret_backend
    from airflow.models import Connection

    found = get_custom_secret_backend()
    if found is None:
        raise LookupError("[secrets] backend names no class")
    found._set_connection_class(Connection)
    return found


def ask(method: Callable, team_name: str | None, **what: str) -> dict[str, Any]:
    """Call a lookup of the backend; ``denied`` says why the task must not have the secret."""
    from airflow._shared.secrets_backend.base import call_secrets_backend_method
    from airflow.models.variable import AirflowSecretsBackendAccessDenied

    try:
        return {"found": call_secrets_backend_method(method, team_name=team_name, **what)}
    except AirflowSecretsBackendAccessDenied as error:
        return {"denied": str(error)}


def variable(key: str, team_name: str | None = None) -> dict[str, Any]:
    """Look up a Variable's value."""
    return ask(backend().get_variable, team_name, key=key)


def connection(conn_id: str, team_name: str | None = None) -> dict[str, Any]:
    """Look up a Connection, as JSON text."""
    answer = ask(backend().get_connection, team_name, conn_id=conn_id)
    found = answer.get("found")
    if found is not None:
        answer["found"] = json.dumps({name: getattr(found, name) for name in FIELDS})
    return answer


OPS = {"variable": variable, "connection": connection}
