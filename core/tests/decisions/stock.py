"""Airflow's own scheduler decisions for cases read from stdin: a list of small Dags with task instances in some states.

For each case the Dag is built with the Task SDK and serialized; the dag run is then examined by Airflow itself, loop
after loop, until nothing changes. Written to stdout: the serialized Dag, the final states, and when retries are due.
"""

from __future__ import annotations

import atexit
import datetime
import functools
import json
import os
import shutil
import sys
import tempfile

home = tempfile.mkdtemp(prefix="slipstream-decisions-")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=home,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
    AIRFLOW__LOGGING__LOGGING_LEVEL="FATAL",
)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import sqlalchemy as sa  # noqa: E402

import airflow.models  # noqa: E402
from airflow import settings  # noqa: E402
from airflow.models.backfill import Backfill  # noqa: E402, F401
from airflow.models.base import Base  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.models.deadline import Deadline  # noqa: E402, F401
from airflow.models.renderedtifields import RenderedTaskInstanceFields  # noqa: E402, F401
from airflow.models.taskinstance import TaskInstance, TaskInstanceNote  # noqa: E402, F401
from airflow.models.taskmap import TaskMap  # noqa: E402
from airflow.models.taskreschedule import TaskReschedule  # noqa: E402
from airflow.models.xcom import XComModel  # noqa: E402
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, TaskGroup  # noqa: E402
from airflow.sdk.definitions._internal.expandinput import (  # noqa: E402
    DictOfListsExpandInput,
    ListOfDictsExpandInput,
)
from airflow.sdk.definitions.taskgroup import MappedTaskGroup  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402
from airflow.ti_deps.dep_context import DepContext  # noqa: E402
from airflow.ti_deps.deps.base_ti_dep import BaseTIDep  # noqa: E402
from airflow.utils.state import DagRunState  # noqa: E402
from airflow.utils.types import DagRunTriggeredByType, DagRunType  # noqa: E402

# Dependencies are a set, so Airflow leaves their order open; this is the order that Slipstream has chosen.
ORDER = [
    "NotInRetryPeriodDep",
    "ReadyToRescheduleDep",
    "PrevDagrunDep",
    "TriggerRuleDep",
    "NotPreviouslySkippedDep",
    "MappedTaskUpstreamDep",
]
BaseTIDep.__hash__ = lambda self: ORDER.index(type(self).__name__)

messages = []
DagRun.notify_dagrun_state_changed = lambda self, msg: messages.append(msg)

FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}

UTC = datetime.timezone.utc
DATE = datetime.datetime(2026, 1, 2, tzinfo=UTC)


class Op(BaseOperator):
    def __init__(self, *, x=None, y=None, **kwargs):
        super().__init__(**kwargs)


class Empty(Op):
    inherits_from_empty_operator = True


class Branch(Op):
    inherits_from_skipmixin = True


class Sensor(BaseSensorOperator):
    def __init__(self, *, x=None, y=None, **kwargs):
        super().__init__(**kwargs)


KINDS = {"op": Op, "empty": Empty, "branch": Branch, "sensor": Sensor}


def same(value):
    return value


def length(given, tasks):
    """An argument to expand over."""
    kind, value = next(iter(given.items()))
    if kind == "literal":
        return list(range(value))
    if kind == "result":
        return tasks[value].output
    if kind == "map":
        return tasks[value].output.map(same)
    first, *rest = [tasks[name].output for name in value]
    if kind == "zip":
        return first.zip(*rest)
    if kind == "zip_filled":
        return first.zip(*rest, fillvalue=0)
    assert kind == "concat", kind
    return first.concat(*rest)


def build(case):
    with DAG("d", schedule=None, start_date=datetime.datetime(2025, 1, 1, tzinfo=UTC), catchup=case["catchup"]) as dag:
        pass
    tasks, groups = {}, {}

    def group(name):
        if name is None:
            return dag.task_group
        if name not in groups:
            given = next(group for group in case["groups"] if group["id"] == name)
            common = dict(
                group_id=name, parent_group=group(given["parent"]), dag=dag, prefix_group_id=False
            )
            if given["over"] is None:
                groups[name] = TaskGroup(**common)
            else:
                argument = length(given["over"], tasks)
                groups[name] = MappedTaskGroup(**common, expand_input=DictOfListsExpandInput({"x": argument}))
        return groups[name]

    for given in case["tasks"]:
        common = dict(task_id=given["id"], dag=dag, task_group=group(given["group"]), **given["arguments"])
        for name in ("retry_delay", "max_retry_delay"):
            if name in common:
                common[name] = datetime.timedelta(seconds=common[name])
        cls = KINDS[given["kind"]]
        if given["over"]:
            partial = cls.partial(**common)
            if "kwargs" in given["over"]:
                task = partial.expand_kwargs([{"x": n} for n in range(given["over"]["kwargs"])])
            elif "kwargs_result" in given["over"]:
                task = partial.expand_kwargs(tasks[given["over"]["kwargs_result"]].output)
            else:
                arguments = given["over"]["arguments"]
                task = partial.expand(**{k: length(v, tasks) for k, v in zip("xy", arguments)})
        else:
            task = cls(**common)
        if given["role"] == "setup":
            task.is_setup = True
        if given["role"] == "teardown":
            task.is_teardown = True
            task.trigger_rule = given["arguments"]["trigger_rule"]
            task.on_failure_fail_dagrun = given["fails_run"]
        tasks[given["id"]] = task
        for above in given["upstream"]:
            tasks[above].set_downstream(task)
    for name, built in groups.items():
        if isinstance(built, MappedTaskGroup):
            for source, _ in built._expand_input.iter_references():
                source.set_downstream(list(built.get_roots()))
    return json.loads(json.dumps(DagSerialization.to_dict(dag)))


def run_of(session, name, date):
    run = DagRun(
        dag_id="d",
        run_id=name,
        run_type=DagRunType.SCHEDULED,
        logical_date=date,
        data_interval=(date, date),
        run_after=date,
        start_date=date,
        state=DagRunState.RUNNING,
        triggered_by=DagRunTriggeredByType.TEST,
    )
    session.add(run)
    session.flush()
    return run


def add_tis(session, dag, run, given, now):
    for ti_given in given:
        ti = TaskInstance(
            dag.get_task(ti_given["task"]),
            run_id=run.run_id,
            map_index=ti_given["map_index"],
            state=ti_given["state"],
            dag_version_id=None,
        )
        ti.try_number = ti_given["try_number"]
        if ti_given["ended_ago"] is not None:
            ti.end_date = now - datetime.timedelta(seconds=ti_given["ended_ago"])
        session.add(ti)
        session.flush()
        if ti_given["reschedule_in"] is not None:
            due = now + datetime.timedelta(seconds=ti_given["reschedule_in"])
            session.add(TaskReschedule(ti.id, now, now, due))


def xcom(session, run, task_id, map_index, key, value):
    session.add(
        XComModel(
            dag_run_id=run.id,
            dag_id="d",
            run_id=run.run_id,
            task_id=task_id,
            map_index=map_index,
            key=key,
            value=json.dumps(value),
        )
    )


def states(session, run):
    rows = session.execute(
        sa.select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state).where(
            TaskInstance.run_id == run.run_id
        )
    )
    return sorted([task_id, map_index, state and str(state)] for task_id, map_index, state in rows)


def set_committed_state(ti, state, session=None):
    sa.orm.attributes.set_committed_value(ti, "state", state)
    return True


def verdicts(session, dag, run, case):
    """What each look comes to: "ready", "blocked", or the state that the task instance is given instead of being run."""
    by_key = {}
    for ti in session.scalars(sa.select(TaskInstance).where(TaskInstance.run_id == run.run_id)):
        ti.task = dag.get_task(ti.task_id)
        by_key[ti.task_id, ti.map_index] = ti
    tis = [by_key[given["task"], given["map_index"]] for given in case["tis"]]
    # Whether a mapped task's results are complete is asked of the rows themselves.
    mapped = [index for index, ti in enumerate(tis) if ti.map_index >= 0]
    write = sa.update(TaskInstance.__table__).where(TaskInstance.__table__.c.id == sa.bindparam("row"))
    write = write.values(state=sa.bindparam("now"))
    found = []
    for look in case["looks"]:
        for ti, state in zip(tis, look["states"]):
            # As if it had been read so: queries give these very objects, and nothing is written back.
            sa.orm.attributes.set_committed_value(ti, "state", state)
        if mapped:
            rows = [{"row": tis[index].id, "now": look["states"][index]} for index in mapped]
            session.connection().execute(write, rows)
        target = by_key[tuple(look["target"])]
        target.set_state = functools.partial(set_committed_state, target)
        context = DepContext(flag_upstream_failed=True, finished_tis=[ti for ti in tis if ti.state in FINISHED])
        ready = target.are_dependencies_met(dep_context=context, session=session)
        found.append(str(target.state) if target.state else "ready" if ready else "blocked")
    return found


def answer(session, case):
    try:
        serialized = build(case)
    except (NotImplementedError, ValueError) as error:  # The SDK does not allow such a Dag.
        return {"refused": str(error)}
    dag = DagSerialization.from_dict(json.loads(json.dumps(serialized)))
    for task in dag.task_dict.values():
        object.__setattr__(task, "deps", frozenset(list(task.deps)))
    now = datetime.datetime.now(UTC)
    if case["previous"] is not None:
        before = run_of(session, "before", DATE - datetime.timedelta(days=1))
        add_tis(session, dag, before, case["previous"], now)
    run = run_of(session, "run", DATE)
    run.dag = dag
    add_tis(session, dag, run, case["tis"], now)
    for task_id, size in case["lengths"].items():
        session.add(TaskMap("d", task_id, "run", -1, size, None))
    for task_id, indexes in case["results"].items():
        for index in indexes:
            xcom(session, run, task_id, index, "return_value", 1)
    for task_id, map_index, value in case["skips"]:
        xcom(session, run, task_id, map_index, "skipmixin_key", value)
    session.commit()
    if "looks" in case:
        return {"dag": serialized, "verdicts": verdicts(session, dag, run, case), "now": now.isoformat()}
    retries = []
    for ti in session.scalars(sa.select(TaskInstance).where(TaskInstance.run_id == "run")):
        if ti.state == "up_for_retry":
            ti.task = dag.get_task(ti.task_id)
            retries.append([ti.task_id, ti.map_index, ti.next_retry_datetime().isoformat()])
    messages.clear()
    for _ in range(60):
        before = states(session, run)
        ready, _ = run.update_state(session=session, execute_callbacks=False)
        run.schedule_tis(ready, session=session)
        session.commit()
        session.expire_all()
        if run.state != DagRunState.RUNNING or states(session, run) == before:
            break
    return {
        "dag": serialized,
        "states": states(session, run),
        "run": messages[-1] if messages else "running",
        "retries": retries,
        "now": now.isoformat(),
    }


def main():
    airflow.models.import_all_models()
    Base.metadata.create_all(settings.engine)
    results = []
    for case in json.load(sys.stdin):
        with settings.Session() as session:
            session.execute(sa.text("PRAGMA synchronous = OFF"))
            results.append(answer(session, case))
            session.rollback()
            for table in (XComModel, TaskMap, TaskReschedule, TaskInstance, DagRun):
                session.execute(sa.delete(table))
            session.commit()
    json.dump(results, answers)
    answers.close()


main()
