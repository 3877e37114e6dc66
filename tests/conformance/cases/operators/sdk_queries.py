from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator, task, task_group
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance as R
from airflow.sdk.exceptions import AirflowSkipException

CASE = {
    "about": "what a task may ask of others: counts and states by every filter, runs and tasks before it, events with bounds, XComs of others written and deleted, Dags, things that are not there",
    "actions": [
        {"trigger": {"run": "first", "logical_date": "2024-01-01T00:00:00Z", "conf": {"fail": True}}}, {"wait": {"run": "first"}},
        {"trigger": {"run": "second", "logical_date": "2024-01-02T00:00:00Z", "note": "n"}}, {"wait": {"run": "second"}},
        {"asset_event": {"asset": "sdk_queries_a", "extra": {"by": "rest"}}},
        {"trigger": {"run": "third", "logical_date": "2024-01-03T00:00:00Z"}}, {"wait": {"run": "third"}},
        {"trigger": {"run": "no_date"}}, {"wait": {"run": "no_date"}},
    ],
    "limit": 290,
}

A, ALIAS = Asset("sdk_queries_a", uri="x-case://sdk_queries/a", extra={"e": 1}), AssetAlias("sdk_queries_alias")
ME = "sdk_queries"
DAYS = [pendulum.datetime(2024, 1, d) for d in (1, 2, 3)]


def ask(f):
    try:
        got = f()
    except BaseException as error:
        text = str(error).split(", 'detail'")[0][:160]  # what follows has ids made by chance
        return f"{type(error).__name__}: {text}"
    return got


with DAG(ME, schedule=None, max_active_tasks=4):

    @task_group
    def g():
        @task
        def copies(x, dag_run=None):
            if x == 2 and (dag_run.conf or {}).get("fail"):
                raise ValueError("told to")
            if x == 3:
                raise AirflowSkipException("three")
            return x

        copies.expand(x=[1, 2, 3])

    @task(outlets=[A, ALIAS])
    def produce(outlet_events=None, run_id=None):
        outlet_events[A].extra = {"from": run_id}
        outlet_events[ALIAS].add(A, extra={"through": run_id})

    @task(trigger_rule="all_done")
    def counts():
        C = lambda **k: ask(lambda: R.get_ti_count(dag_id=ME, **k))
        return [
            C(run_ids=["first"]), C(run_ids=["first", "second"], task_group_id="g"), C(task_group_id="nowhere"), C(logical_dates=DAYS[:1]),
            C(task_ids=["g.copies"], map_index=1), C(task_ids=["g.copies"], run_ids=["first"], states=["failed", "skipped"]), C(states=["running"], run_ids=["nowhere"]),
            C(task_ids=[], run_ids=["first"]), C(run_ids=["first"], states=[]), C(run_ids=["first"], states=["null"]), ask(lambda: R.get_ti_count(dag_id="sdk_queries_nowhere")),
        ]

    @task(trigger_rule="all_done")
    def states():
        S = lambda **k: ask(lambda: R.get_task_states(dag_id=ME, **k))
        return [
            S(run_ids=["first"], task_group_id="g"), S(logical_dates=DAYS[:1], task_ids=["produce"]), S(run_ids=["first"], task_ids=["g.copies"], map_index=2),
            S(run_ids=["nowhere"]), S(task_group_id="nowhere", run_ids=["first"]), ask(lambda: R.get_task_states(dag_id="sdk_queries_nowhere")),
        ]

    @task(trigger_rule="all_done")
    def runs(ti=None):
        D = lambda **k: ask(lambda: R.get_dr_count(dag_id=ME, **k))
        before = lambda **k: ask(lambda: (lambda r: r and [r.run_id, r.state])(ti.get_previous_dagrun(**k)))
        return [
            D(run_ids=["first", "second"]), D(logical_dates=DAYS[:1], states=["success", "failed"]), D(states=["queued"]), D(run_ids=[]), ask(lambda: R.get_dr_count(dag_id="sdk_queries_nowhere")),
            ask(lambda: R.get_dagrun_state(ME, "first")), ask(lambda: R.get_dagrun_state(ME, "nowhere")), before(), before(state="success"), before(state="failed"), before(state="nonsense"),
            ask(lambda: sorted((b["task_id"], b["map_index"], str(b["state"])) for b in R.get_task_breadcrumbs(ME, "first"))), ask(lambda: list(R.get_task_breadcrumbs(ME, "nowhere"))),
            ask(lambda: (lambda d: [d.dag_id, d.is_paused, d.is_stale, d.owners, [str(t) for t in d.tags]])(R.get_dag(ME))), ask(lambda: R.get_dag("sdk_queries_nowhere")),
        ]

    @task(trigger_rule="all_done")
    def previous(x, ti=None):
        P = lambda **k: ask(lambda: (lambda p: p and [p.task_id, p.run_id, p.map_index, p.state, p.try_number])(ti.get_previous_ti(**k)))
        return [P(), P(map_index=0), P(map_index=x), P(state="failed"), P(state="success", map_index=x), P(logical_date=DAYS[1], map_index=x), P(logical_date=DAYS[0])]

    @task(trigger_rule="all_done", inlets=[A, ALIAS])
    def events(inlet_events=None):
        E = lambda e: ask(lambda: [x.extra for x in e])
        facts = ask(lambda: (lambda e: [e.source_task_id, e.source_dag_id, e.source_run_id, e.source_map_index, e.asset.name, e.asset.extra, e.partition_key])(inlet_events[A][0]))
        source = ask(lambda: (lambda t: [t.task_id, t.run_id, t.dag_id, t.map_index])(inlet_events[A][0].source_task_instance))
        pulled = ask(lambda: inlet_events[A][0].source_task_instance.xcom_pull())
        return [
            E(inlet_events[A]), E(inlet_events[A].ascending(False).limit(1)), E(inlet_events[A].limit(1)), E(inlet_events[A].after("2030-01-01T00:00:00Z")),
            E(inlet_events[A].before("2020-01-01T00:00:00Z")), E(inlet_events[A].after("2020-01-01T00:00:00Z").ascending(False)), E(inlet_events[A].limit(0)), E(inlet_events[A].after("nonsense")),
            E(inlet_events[ALIAS]), E(inlet_events[ALIAS].ascending(False).limit(1)), E(inlet_events[Asset.ref(name="sdk_queries_a")]), len(inlet_events), facts, source, pulled,
        ]

    @task(trigger_rule="all_done")
    def xcoms(ti=None, run_id=None):
        K = {"dag_id": ME, "run_id": run_id}
        BaseXCom.set("theirs", {"a": 1}, task_id="produce", **K)
        BaseXCom.set("theirs", 5, task_id="g.copies", map_index=1, **K)
        out = [ask(lambda: BaseXCom.get_one(key="theirs", task_id="produce", **K)), ask(lambda: BaseXCom.get_one(key="theirs", task_id="g.copies", map_index=1, **K)),
               ask(lambda: BaseXCom.get_all(key="return_value", task_id="g.copies", **K)), ask(lambda: BaseXCom.get_all(key="return_value", task_id="nowhere", **K)),
               ask(lambda: BaseXCom.get_one(key="nothing", task_id="produce", **K)), ask(lambda: BaseXCom.set("x", 1, task_id="nowhere", **K)),
               ask(lambda: BaseXCom.get_one(key="return_value", task_id="g.copies", map_index=0, include_prior_dates=True, **K)),
               ask(lambda: BaseXCom.delete("theirs", task_id="produce", map_index=-1, **K)), ask(lambda: BaseXCom.delete("theirs", task_id="g.copies", map_index=1, **K)),
               ask(lambda: BaseXCom.delete("never", task_id="produce", map_index=-1, **K)), ask(lambda: BaseXCom.get_one(key="theirs", task_id="produce", **K))]
        BaseXCom.set("last", [1], task_id="produce", **K)
        return out

    [g(), produce()] >> (c := counts()) >> states() >> runs() >> previous.expand(x=[0, 1]) >> events() >> xcoms()
