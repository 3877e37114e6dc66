"""An XCom backend and a secrets backend that the configuration of a batch names by import path."""

from __future__ import annotations

import json

from airflow.sdk.bases.xcom import BaseXCom
from airflow.secrets import BaseSecretsBackend


class Marked(BaseXCom):
    """Wraps every value, and says which XComs it purged."""

    @staticmethod
    def serialize_value(value, *, key=None, task_id=None, dag_id=None, run_id=None, map_index=None):
        return BaseXCom.serialize_value({"marked": value, "of": f"{task_id}.{key}"})

    @staticmethod
    def deserialize_value(result):
        got = BaseXCom.deserialize_value(result)
        return got["marked"] if isinstance(got, dict) and "marked" in got else got


class Secrets(BaseSecretsBackend):
    """Knows what its arguments say."""

    def __init__(self, variables=None, connections=None):
        super().__init__()
        self.variables, self.connections = variables or {}, connections or {}

    def get_variable(self, key, team_name=None):
        return self.variables.get(key)

    def get_conn_value(self, conn_id, team_name=None):
        value = self.connections.get(conn_id)
        return json.dumps(value) if isinstance(value, dict) else value
