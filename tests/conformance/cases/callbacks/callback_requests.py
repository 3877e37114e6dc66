from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Connection, Variable, task
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance as R
from conformance_witness import say

CASE = {
    "about": "what a Dag's callback may ask, which the processor of its file answers: variables, connections, XComs, states, earlier runs; and the callback of a task",
    "before": [{"rest": {"method": "POST", "path": "/connections", "expect": 201, "body": {"connection_id": "callback_requests_c", "conn_type": "http", "host": "h", "extra": "{\"a\": 1}"}}}],
    "actions": [
        {"set_variable": {"callback_requests_v": "value"}},
        {"trigger": {"logical_date": "2024-01-01T00:00:00Z"}}, {"wait": "runs"},
        {"witness": {"lines": 39}},
        {"trigger": {"run": "r2", "logical_date": "2024-01-02T00:00:00Z", "conf": {"fail": 1}}}, {"wait": "runs"},
        {"witness": {"lines": 78}},
    ],
}


def asks(kind):
    def callback(context):
        def ask(name, f):
            try:
                got = f()
            except BaseException as error:
                got = f"{type(error).__name__}: {str(error)[:90]}"
            say("callback_requests", f"{kind} {name}: {got}")

        ti = context["ti"]
        # The callbacks of the task and of its Dag may run at the same time.
        own = f"set_by_callback_of_{kind.replace(' ', '_')}"
        ask("keys", lambda: sorted(context))
        ask("ti", lambda: [ti.task_id, str(ti.state), ti.try_number, ti.map_index])
        ask("run", lambda: [context["dag_run"].run_id, str(context["dag_run"].state), context["dag_run"].conf, context.get("reason")])
        ask("variable", lambda: Variable.get("callback_requests_v"))
        ask("no variable", lambda: Variable.get("callback_requests_none"))
        ask("default", lambda: Variable.get("callback_requests_none", default=None))
        ask("names", lambda: [k for k in Variable.keys(prefix="callback_requests")])
        ask("set", lambda: Variable.set(own, kind))
        ask("set read", lambda: Variable.get(own))
        ask("delete", lambda: Variable.delete(own))
        ask("connection", lambda: [Connection.get("callback_requests_c").host, Connection.get("callback_requests_c").extra_dejson])
        ask("no connection", lambda: Connection.get("callback_requests_none"))
        ask("xcom", lambda: ti.xcom_pull(task_ids="one"))
        ask("xcoms", lambda: list(ti.xcom_pull(task_ids="copies")))
        ask("no xcom", lambda: ti.xcom_pull(task_ids="one", key="none"))
        ask("states", lambda: R.get_task_states(dag_id="callback_requests", task_ids=["one"], run_ids=["r1"]))
        ask("previous run", lambda: (lambda r: r and r.run_id)(ti.get_previous_dagrun()))
        if kind.startswith("task"):  # the processor has no answer to these, and stock Airflow's then waits for ever
            ask("push", lambda: ti.xcom_push("from_callback", kind))
            ask("count", lambda: R.get_ti_count(dag_id="callback_requests", states=["success"]))
            ask("runs", lambda: R.get_dr_count(dag_id="callback_requests"))
        ask("previous", lambda: (lambda r: r and [r.run_id, str(r.state)])(ti.get_previous_ti()))

    return callback


with DAG("callback_requests", schedule=None, on_success_callback=asks("dag success"), on_failure_callback=asks("dag failure")):

    @task
    def one():
        return {"a": 1}

    @task
    def copies(x):
        return x

    @task(on_success_callback=asks("task success"), on_failure_callback=asks("task failure"))
    def last(dag_run=None):
        if dag_run.conf:
            raise ValueError("told to")

    one() >> copies.expand(x=[1, 2]) >> last()
