from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseHook, Connection, Variable, task

# A key that is too long for its column is none on SQLite.
CASE = {
    "db": ["postgres"],
    "about": "variables and connections made, changed and deleted by REST, read by templates and by the SDK between runs",
    "before": [
        {"rest": {"method": "POST", "path": "/variables", "expect": 201, "body": {"key": "rest_values_plain", "value": "one"}}},
        {"rest": {"method": "POST", "path": "/variables", "expect": 201, "body": {"key": "rest_values_json", "value": "{\"a\": [1, {\"b\": null}]}", "description": "d"}}},
        {"rest": {"method": "POST", "path": "/variables", "expect": 201, "body": {"key": "rest_values/odd key é", "value": " spaces \n and lines "}}},
        {"rest": {"method": "POST", "path": "/connections", "expect": 201, "body": {"connection_id": "rest_values_c", "conn_type": "http", "host": "h.example", "login": "me", "password": "p@ss/w:rd",
            "port": 81, "schema": "https", "extra": "{\"k\": {\"n\": [1, 2]}, \"t\": \"text\"}", "description": "about"}}},
        {"rest": {"method": "POST", "path": "/connections", "expect": 201, "body": {"connection_id": "rest_values_bare", "conn_type": "generic"}}},
    ],
    "actions": [
        {"trigger": {}}, {"wait": "runs"},
        {"rest": {"method": "PATCH", "path": "/variables/rest_values_plain", "body": {"key": "rest_values_plain", "value": "two"}}},
        {"rest": {"method": "DELETE", "path": "/variables/rest_values_json", "expect": 204}},
        {"rest": {"method": "PATCH", "path": "/connections/rest_values_c?update_mask=host", "body": {"connection_id": "rest_values_c", "conn_type": "http", "host": "other.example"}}},
        {"rest": {"method": "DELETE", "path": "/connections/rest_values_bare", "expect": 204}},
        {"trigger": {"run": "r2"}}, {"wait": "runs"},
    ],
}


def ask(f):
    try:
        return f()
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:120]}"


with DAG("rest_values", schedule=None):
    BashOperator(task_id="plain", bash_command="echo {{ var.value.rest_values_plain }} {{ var.value.get('rest_values_none', 'default') }} {{ var.json.get('rest_values_none', {'x': 1}).x }}")
    BashOperator(task_id="json", bash_command="echo '{{ var.json.rest_values_json.a }}' {{ var.json.rest_values_json['a'][0] }}")
    BashOperator(task_id="missing", bash_command="echo {{ var.value.rest_values_none }}")
    BashOperator(task_id="connection", bash_command="echo {{ conn.rest_values_c.host }} {{ conn.rest_values_c.login }} {{ conn.rest_values_c.extra_dejson.k.n }} {{ conn.get('rest_values_none', 'none') }}")
    BashOperator(task_id="missing_connection", bash_command="echo {{ conn.rest_values_none.host }}")

    @task
    def asks():
        def facts(c):
            return [c.conn_id, c.conn_type, c.host, c.login, c.password and len(c.password), c.port, c.schema, c.extra, c.description, c.get_uri().replace(c.password or "-", "pw")]

        return [
            ask(lambda: Variable.get("rest_values_plain")), ask(lambda: Variable.get("rest_values_json")), ask(lambda: Variable.get("rest_values_json", deserialize_json=True)),
            ask(lambda: Variable.get("rest_values_plain", deserialize_json=True)), ask(lambda: Variable.get("rest_values/odd key é")), ask(lambda: Variable.get("")),
            ask(lambda: facts(Connection.get("rest_values_c"))), ask(lambda: facts(BaseHook.get_connection("rest_values_bare"))), ask(lambda: Connection.get("")), ask(lambda: Connection.get("a/b")),
            ask(lambda: sorted(k for k in Variable.keys(prefix="rest_values"))),
        ]

    @task
    def writes(run_id=None):
        Variable.set("rest_values_plain", run_id)
        Variable.set("rest_values_new", [1], serialize_json=True, description="by a task")
        return [ask(lambda: Variable.set("rest_values_none", None)), ask(lambda: Variable.get("rest_values_none")), ask(lambda: Variable.set("v" * 300, "long"))]

    asks() >> writes()
