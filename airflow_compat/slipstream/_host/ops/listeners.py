"""Listeners of plugins for what the scheduler does."""

from __future__ import annotations

from typing import Any

from .serialized import latest_dag

RUNS = {
    "running": "on_dag_run_running",
    "success": "on_dag_run_success",
    "failed": "on_dag_run_failed",
}
"""The hook for each state of a dag run."""

ASSETS = ("on_asset_changed", "on_asset_event_emitted")
"""The hooks for updates of assets."""

TASKS = ("on_task_instance_failed",)
"""The hooks for tries that the scheduler ends."""

LIFECYCLE = ("on_starting", "before_stopping")
"""The hooks for the scheduler itself."""


def hooks() -> Any:
    """Return the hooks of every listener."""
    from airflow.listeners.listener import get_listener_manager

    return get_listener_manager().hook


def wanted() -> dict[str, bool]:
    """Say what the plugins listen to: of the rest, no one need be told."""
    found = hooks()

    def any_of(names: Any) -> bool:
        return any(getattr(found, name).get_hookimpls() for name in names)

    wishes = {"runs": RUNS.values(), "assets": ASSETS, "tasks": TASKS, "lifecycle": LIFECYCLE}
    return {what: any_of(names) for what, names in wishes.items()}


def dag_run(dag_id: str, run_id: str, state: str, msg: str) -> None:
    """Tell the listeners that a run came into ``state``, as ``DagRun.notify_dagrun_state_changed`` does."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import select
    from sqlalchemy.orm.attributes import set_committed_value

    hook = getattr(hooks(), RUNS[state])
    if not hook.get_hookimpls():
        return
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            return
        # The run may have gone on since; listeners hear of it as it was.
        set_committed_value(run, "_state", DagRunState(state))
        if state == "running":
            set_committed_value(run, "end_date", None)
        # Listeners ask a run for its Dag; the scheduler's runs have it.
        run.dag = latest_dag(dag_id, session)
        hook(dag_run=run, msg=msg)


def assets(dag_id: str, run_id: str, task_id: str, map_index: int) -> int:
    """Tell the listeners of the assets that a task instance has updated, as Airflow's API server does."""
    from airflow.models.asset import AssetEvent
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    found = hooks()
    ti_key = (
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.task_id == task_id,
        TaskInstance.map_index == map_index,
    )
    source = (
        AssetEvent.source_dag_id == dag_id,
        AssetEvent.source_run_id == run_id,
        AssetEvent.source_task_id == task_id,
        AssetEvent.source_map_index == map_index,
    )
    with create_session() as session:
        started = session.scalar(select(TaskInstance.start_date).where(*ti_key))
        if started is None:
            return 0
        # Events of the task instance's earlier life, before it was cleared, were told already.
        of_this_try = (*source, AssetEvent.timestamp >= started)
        events = session.scalars(select(AssetEvent).where(*of_this_try).order_by(AssetEvent.id)).all()
        for event in events:
            tell_of_asset(found, event)
        return len(events)


def task_failed(dag_id: str, run_id: str, task_id: str, map_index: int, state: str, error: str) -> None:
    """Tell the listeners of a try that the scheduler has failed, as ``TaskInstance.handle_failure`` does."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select
    from sqlalchemy.orm.attributes import set_committed_value

    hook = hooks().on_task_instance_failed
    if not hook.get_hookimpls():
        return
    with create_session() as session:
        query = select(TaskInstance).where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.run_id == run_id,
            TaskInstance.task_id == task_id,
            TaskInstance.map_index == map_index,
        )
        ti = session.scalar(query)
        if ti is None:
            return
        # It may have gone on since.
        set_committed_value(ti, "state", TaskInstanceState(state))
        dag = latest_dag(dag_id, session)
        if dag is not None and dag.has_task(task_id):
            ti.task = dag.get_task(task_id)
        # Airflow names this state whatever the state was.
        hook(previous_state=TaskInstanceState.RUNNING, task_instance=ti, error=error)


def tell_of_asset(found: Any, event: Any) -> None:
    """Call both hooks for one event of an asset."""
    from airflow.listeners.types import AssetEvent
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    asset = event.asset.to_serialized()
    found.on_asset_changed(asset=asset)
    if not found.on_asset_event_emitted.get_hookimpls():
        return
    of_run = select(DagRun.partition_date).where(
        DagRun.dag_id == event.source_dag_id, DagRun.run_id == event.source_run_id
    )
    emitted = AssetEvent(
        asset=asset,
        extra=event.extra,
        source_dag_id=event.source_dag_id,
        source_task_id=event.source_task_id,
        source_run_id=event.source_run_id,
        source_map_index=event.source_map_index,
        source_aliases=[alias.to_serialized() for alias in event.source_aliases],
        partition_key=event.partition_key,
        partition_date=object_session(event).scalar(of_run),
    )
    found.on_asset_event_emitted(asset_event=emitted)


def lifecycle(event: str, job_id: int) -> None:
    """Tell the listeners that the scheduler starts or stops."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    if event not in LIFECYCLE:
        raise ValueError(f"unknown event {event}")
    with create_session() as session:
        job = session.get(Job, job_id)
        if job is not None:
            getattr(hooks(), event)(component=job)


OPS = {
    "wanted": wanted,
    "dag_run": dag_run,
    "assets": assets,
    "task_failed": task_failed,
    "lifecycle": lifecycle,
}
