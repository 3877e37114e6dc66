from datetime import timedelta

from airflow.providers.standard.operators.smooth import SmoothOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.sdk import DAG, Asset, Connection, Metadata, Variable, task, get_current_context
from airflow.sdk.exceptions import AirflowException

CASE = {"about": "the SDK's runtime: variables (set, get, delete, json, default), connections, state stores of tasks and assets, counts of runs and task instances, previous runs, asset events, dates", "limit": 200,
        "actions": [{"trigger": {"logical_date": "2024-01-01T00:00:00Z"}}, {"wait": "runs"}, {"trigger": {"run": "r2", "logical_date": "2024-01-02T00:00:00Z"}}, {"wait": "runs"}]}

A = Asset("sdk_runtime_a", uri="x://sdk_runtime_a")

with DAG("sdk_runtime", schedule=None):
    @task
    def variables():
        out = []
        Variable.set("sdk_runtime_x", "1", description="d")
        out.append(Variable.get("sdk_runtime_x"))
        Variable.set("sdk_runtime_j", {"a": [1]}, serialize_json=True)
        out.append(Variable.get("sdk_runtime_j", deserialize_json=True))
        Variable.delete("sdk_runtime_x")
        out.append(Variable.get("sdk_runtime_x", default="gone"))
        try:
            Variable.get("sdk_runtime_nope")
        except Exception as e:
            out.append(type(e).__name__ + " " + str(e))
        try:
            Variable.delete("sdk_runtime_nope")
            out.append("deleted")
        except Exception as e:
            out.append(type(e).__name__ + " " + str(e))
        return out

    @task
    def keys():
        return sorted(key for key in Variable.keys() if key.startswith("sdk_runtime"))

    @task
    def connections():
        out = []
        try:
            Connection.get("sdk_runtime_nope")
        except Exception as e:
            out.append(type(e).__name__ + " " + str(e))
        return out

    @task(retries=1, retry_delay=timedelta(0))
    def store(task_state_store=None, ti=None):
        seen = [task_state_store.get(k) for k in ("a", "b", "c")]
        task_state_store.set("a", {"n": ti.try_number})
        task_state_store.set("b", "text")
        task_state_store.set("c", None) if ti.try_number == 1 and False else None
        if ti.try_number == 1:
            raise ValueError("x")
        task_state_store.delete("b")
        task_state_store.delete("absent")
        return seen

    @task
    def store_clear(task_state_store=None):
        task_state_store.set("a", 1)
        task_state_store.set("b", [1, 2.5, True])
        task_state_store.clear()
        task_state_store.set("z", 3)

    @task(outlets=[A])
    def produce(outlet_events=None, run_id=None):
        outlet_events[A].extra = {"from": run_id}
        return 1

    @task(inlets=[A])
    def look(inlet_events=None):
        return [e.extra for e in inlet_events[A]]

    @task
    def counts(ti=None, dag_run=None):
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance as R
        out = [R.get_ti_count(dag_id="sdk_runtime"), R.get_ti_count(dag_id="sdk_runtime", task_ids=["variables", "keys"], states=["success", "failed"]), R.get_dr_count(dag_id="sdk_runtime"),
               R.get_dr_count(dag_id="sdk_runtime", states=["running"]), R.get_task_states(dag_id="sdk_runtime", task_ids=["variables"]), R.get_dagrun_state("sdk_runtime", "r1"),
               str(ti.get_previous_dagrun().run_id if ti.get_previous_dagrun() else None)]
        p = ti.get_previous_ti(state="success")
        out.append(p and [p.run_id, p.state])
        out.append([str(ti.get_first_reschedule_date(get_current_context())) if False else None])
        return out

    @task
    def ctx(**context):
        return {k: str(context[k])[:40] for k in sorted(context) if k in ("ds", "ts", "data_interval_start", "data_interval_end", "logical_date", "prev_data_interval_start_success", "run_id", "ds_nodash", "ts_nodash", "prev_end_date_success", "task_reschedule_count", "map_index_template", "triggering_asset_events", "test_mode")} | {"keys": sorted(context), "prev": str(context["prev_start_date_success"] is None)}

    first = variables()
    second = keys()
    first >> second
    ops = [first, second, connections(), store(), store_clear(), produce()]
    ops >> look() >> counts() >> ctx()
    SmoothOperator(task_id="smooth")
    ExternalTaskSensor(task_id="ext", external_dag_id="sdk_runtime", external_task_id="variables", poke_interval=1, timeout=60)
    ExternalTaskSensor(task_id="ext_bad", external_dag_id="sdk_runtime_absent", check_existence=True, poke_interval=1, timeout=60)
    ExternalTaskMarker(task_id="marker", external_dag_id="sdk_runtime", external_task_id="smooth")
