"""What users' Python decides about new task instances: custom priority weights and the cluster policy."""

from __future__ import annotations


def policy_exists() -> bool:
    """Say whether ``airflow_local_settings`` or a plugin changes task instances."""
    from airflow import settings

    return not getattr(settings.task_instance_mutation_hook, "is_noop", False)


def prepare(dag_id: str, run_id: str) -> int:
    """Let weight strategies and the cluster policy act on a run's new task instances; return how many there are.

    Everything that the task says is set again first, so that doing this twice changes nothing.
    """
    from airflow import settings
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        dag = DBDagBag(load_op_links=False).get_dag_for_run(run, session=session) if run else None
        if dag is None:
            raise LookupError(f"Dag {dag_id} has no serialised version for its run {run_id}")
        rows = session.scalars(select(TaskInstance).where(*of_run, TaskInstance.state.is_(None))).all()
        for ti in rows:
            task = dag.task_dict.get(ti.task_id)
            if task is None:
                continue
            # Airflow calls the policy here too, and once more for a new task instance.
            cleared, max_tries = ti.try_number > 0, ti.max_tries
            ti.refresh_from_task(task, dag_run=run)
            if cleared:
                ti.max_tries = max_tries
            else:
                settings.task_instance_mutation_hook(ti, dag_run=run)
        return len(rows)


OPS = {"policy_exists": policy_exists, "prepare": prepare}
