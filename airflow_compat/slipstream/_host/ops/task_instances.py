"""What users' Python decides about new task instances: custom priority weights and the cluster policy."""

from __future__ import annotations

from .serialized import latest_dag


def weights(dag_id: str, run_id: str, task_ids: list[str]) -> dict[str, int]:
    """Return the priority weights that the tasks' own strategies give them."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.task.priority_strategy import validate_and_load_priority_weight_strategy
    from airflow.utils.session import create_session

    found = {}
    with create_session() as session:
        dag = latest_dag(dag_id, session)
        for task_id in task_ids:
            task = dag.get_task(task_id)
            rule = task.weight_rule
            if not hasattr(rule, "get_weight"):
                rule = validate_and_load_priority_weight_strategy(rule)
            ti = TaskInstance(task=task, run_id=run_id, map_index=-1, dag_version_id=None)
            found[task_id] = int(rule.get_weight(ti))
        session.expunge_all()
    return found


def policy_exists() -> bool:
    """Say whether ``airflow_local_settings`` or a plugin changes task instances."""
    from airflow import settings

    return not getattr(settings.task_instance_mutation_hook, "is_noop", False)


def apply_policy(dag_id: str, run_id: str) -> int:
    """Let the cluster policy change a run's new task instances; return how many there are."""
    from airflow import settings
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    of_run = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        dag = latest_dag(dag_id, session)
        rows = session.scalars(select(TaskInstance).where(*of_run, TaskInstance.state.is_(None))).all()
        for ti in rows:
            if ti.task_id in dag.task_dict:
                ti.task = dag.task_dict[ti.task_id]
            settings.task_instance_mutation_hook(ti, dag_run=run)
        return len(rows)


OPS = {"weights": weights, "policy_exists": policy_exists, "apply_policy": apply_policy}
