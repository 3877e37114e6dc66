"""Listeners of plugins for what happens to dag runs."""

from __future__ import annotations

from .serialized import latest_dag

HOOKS = {
    "running": "on_dag_run_running",
    "success": "on_dag_run_success",
    "failed": "on_dag_run_failed",
}
"""The hook for each state of a dag run."""


def wanted() -> bool:
    """Say whether any plugin listens to dag runs: if not, no one need be told."""
    from airflow.listeners.listener import get_listener_manager

    hooks = get_listener_manager().hook
    return any(getattr(hooks, name).get_hookimpls() for name in HOOKS.values())


def dag_run(dag_id: str, run_id: str, state: str, msg: str) -> None:
    """Tell the listeners that a run came into ``state``, as ``DagRun.notify_dagrun_state_changed`` does."""
    from airflow.listeners.listener import get_listener_manager
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    hook = getattr(get_listener_manager().hook, HOOKS[state])
    if not hook.get_hookimpls():
        return
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            return
        # Listeners ask a run for its Dag; the scheduler's runs have it.
        run.dag = latest_dag(dag_id, session)
        hook(dag_run=run, msg=msg)


OPS = {"wanted": wanted, "dag_run": dag_run}
