from airflow.sdk import DAG, BaseHook, task

CASE = {
    "about": "tests of connections that somebody asks for: what the hook says, a hook that is not there, what is kept when it works",
    "batch": "limits",
    "before": [
        {"rest": {"method": "POST", "path": "/connections", "expect": 201, "body": {"connection_id": "connection_tests_old", "conn_type": "http", "host": "h.example", "login": "me", "password": "s3cret",
            "port": 81, "schema": "https", "extra": "{\"k\": 1}", "description": "about"}}},
    ],
    "actions": [
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_works", "conn_type": "fs", "extra": "{\"path\": \"/\"}"}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_fails", "conn_type": "fs", "extra": "{\"path\": \"/no/such/folder\"}", "commit_on_success": True}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_unknown", "conn_type": "no_such_type"}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_untyped", "conn_type": ""}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_new", "conn_type": "fs", "host": "n", "login": "l", "password": "p/w", "port": 7,
            "schema": "s", "extra": "{\"path\": \"/\", \"more\": [1]}", "commit_on_success": True}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 202, "body": {"connection_id": "connection_tests_old", "conn_type": "fs", "host": "other", "extra": "{\"path\": \"/\"}", "commit_on_success": True}}},
        {"rest": {"method": "POST", "path": "/connections/enqueue-test", "expect": 422, "body": {"connection_id": "connection_tests_elsewhere", "conn_type": "fs", "executor": "NoSuchExecutor"}}},
        {"wait_sql": {"sql": "select count(*) from connection_test_request where connection_id like 'connection_tests%' and state in ('success', 'failed')", "equals": 6}},
        {"note": {"sql_name": "tests", "sql": "select connection_id, state, result_message, active_connection_id from connection_test_request where connection_id like 'connection_tests%' order by connection_id"}},
        {"trigger": {}}, {"wait": "runs"},
    ],
}


def facts(conn_id):
    try:
        c = BaseHook.get_connection(conn_id)
    except Exception as error:
        return type(error).__name__
    return [c.conn_type, c.host, c.login, c.password and len(c.password), c.port, c.schema, c.extra, c.description]


with DAG("connection_tests", schedule=None):

    @task
    def kept():
        return {name: facts(f"connection_tests_{name}") for name in ("works", "fails", "new", "old")}

    kept()
