"""Triggers on tasks: what starts, stops or restarts a task inside a running run.

They are kept in ``executor_config["slipstream"]`` of the operator, which survives serialisation and which Airflow's own
executors do not look into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from slipstream.conditions import Condition, Tick, check_condition, check_name, seconds

if TYPE_CHECKING:
    from datetime import timedelta

Task = TypeVar("Task")

KEY = "slipstream"
"""Our entry in ``executor_config``."""

XCOM_KEY = "triggering_events"
"""Under which key the scheduler pushes the events that started a task, and under which they are in its context."""

MODES = ("gate", "event_only", "control")
WHEN_RUNNING = ("ignore", "queue", "coalesce")
OVERLAPS = ("skip", "queue", "restart")
MARKS = ("failed", "success", "skipped")


def check_choice(value: str, choices: tuple[str, ...], what: str) -> str:
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _operator(task: Any, where: str) -> Any:
    """Return the operator of a task, which may be given as the result of calling a ``@task`` function."""
    operator = getattr(task, "operator", task)
    if not hasattr(operator, "task_id") or not hasattr(operator, "executor_config"):
        raise TypeError(f"{where} needs a task, not {task!r}")
    return operator


def _name(operator: Any) -> str:
    return f"{operator.dag_id}.{operator.task_id}" if operator.has_dag() else operator.task_id


def _attach(operator: Any, **entries: Any) -> None:
    """Put entries into the operator's ``executor_config``; a list is added to the one there.

    The dictionary may be shared with other tasks through ``default_args``, so it is copied.
    """
    config = dict(operator.executor_config or {})
    ours = dict(config.get(KEY, {}))
    for name, entry in entries.items():
        ours[name] = [*ours.get(name, []), *entry] if isinstance(entry, list) else entry
    config[KEY] = ours
    if hasattr(operator, "partial_kwargs"):
        operator.partial_kwargs["executor_config"] = config
    else:
        operator.executor_config = config


def add_trigger(
    operator: Any, condition: Any, action: dict[str, Any], where: str, name: str | None, at_most: int | None
) -> None:
    """Attach one trigger to an operator."""
    where = f"{where} on task {_name(operator)!r}"
    dag_id = operator.dag_id if operator.has_dag() else None
    trigger = {"version": 1, "on": check_condition(condition, where).to_json(dag_id), "do": action}
    named(trigger, where, name, at_most)
    others = (operator.executor_config or {}).get(KEY, {}).get("triggers", [])
    if name is not None and any(other.get("name") == name for other in others):
        raise ValueError(f"{where}: there is already a trigger named {name!r}")
    _attach(operator, triggers=[trigger])


def named(trigger: dict[str, Any], where: str, name: str | None, at_most: int | None) -> None:
    """Add a trigger's name and limit."""
    if name is not None:
        trigger["name"] = check_name(name, f"{where}: name")
    if at_most is not None:
        if isinstance(at_most, bool) or not isinstance(at_most, int) or at_most < 1:
            raise ValueError(f"{where}: at_most must be a whole number of at least 1, not {at_most!r}")
        trigger["at_most"] = at_most


def _grace(grace: timedelta | float | None) -> dict[str, float]:
    return {} if grace is None else {"grace": seconds("grace", grace, {})}


class TriggeringEvents:
    """A ``pre_execute`` hook: puts the events that started the task into its context, as a list.

    The list is empty under a scheduler without triggers.
    """

    def __init__(self, following: Any = None) -> None:
        self.following = following
        # A serialized Dag holds the source of its hooks, found through this. Ours would only make every Dag larger.
        self.__call__ = None

    def __call__(self, context: Any) -> None:
        ti = context["ti"]
        events = ti.xcom_pull(task_ids=ti.task_id, key=XCOM_KEY, map_indexes=ti.map_index)
        context[XCOM_KEY] = events if isinstance(events, list) else []
        if self.following is not None:
            self.following(context)


def take_events(operator: Any) -> None:
    """Attach the hook that gives the task its events, before a hook that is there."""
    is_mapped = hasattr(operator, "partial_kwargs")
    hook = operator.partial_kwargs.get("pre_execute") if is_mapped else operator._pre_execute_hook
    if isinstance(hook, TriggeringEvents):
        return
    if is_mapped:
        operator.partial_kwargs["pre_execute"] = TriggeringEvents(hook)
    else:
        operator._pre_execute_hook = TriggeringEvents(hook)


def start_on(
    task: Task,
    condition: Condition,
    *,
    mode: str = "gate",
    when_running: str = "ignore",
    name: str | None = None,
    at_most: int | None = None,
) -> Task:
    """Start a task when a condition is fulfilled.

    :param mode: ``gate``: its ordinary dependencies must be fulfilled, too; ``event_only``: they do not matter;
        ``control``: they start it the first time, events start it again.
    :param when_running: while the task still runs: ``ignore`` the firing, ``queue`` one execution for each, or
        ``coalesce`` them into one.
    :param name: under which the trigger is listed.
    :param at_most: how many times it fires in a run.
    :return: the task
    """
    operator = _operator(task, "start_on()")
    action = {
        "mode": check_choice(mode, MODES, "start_on(mode=)"),
        "when_running": check_choice(when_running, WHEN_RUNNING, "start_on(when_running=)"),
    }
    add_trigger(operator, condition, {"start": action}, "start_on()", name, at_most)
    take_events(operator)
    return task


def stop_on(
    task: Task,
    condition: Condition,
    *,
    mark: str = "failed",
    grace: timedelta | float | None = None,
    name: str | None = None,
    at_most: int | None = None,
) -> Task:
    """Stop a task when a condition is fulfilled; nothing happens if it does not run.

    :param mark: the state it gets: ``failed``, ``success`` or ``skipped``.
    :param grace: how long its ``on_kill`` and its process may take to end.
    """
    operator = _operator(task, "stop_on()")
    action = {"mark": check_choice(mark, MARKS, "stop_on(mark=)"), **_grace(grace)}
    add_trigger(operator, condition, {"stop": action}, "stop_on()", name, at_most)
    return task


def stop_run_on(
    dag: Any,
    condition: Condition,
    *,
    mark: str = "success",
    name: str | None = None,
    at_most: int | None = None,
) -> Any:
    """End a run of a Dag when a condition is fulfilled by events that this run sees; each run counts for itself.

    What still runs in it gets the mark and is stopped, what waits is skipped, teardowns are still done.

    :param dag: the Dag, with at least one task: write this at its end.
    :param mark: the state that the run gets: ``success`` or ``failed``.
    :return: the Dag
    """
    tasks = getattr(dag, "tasks", None)
    if not isinstance(tasks, list):
        raise TypeError(f"stop_run_on() needs a Dag, not {dag!r}")
    if not tasks:
        raise ValueError(f"stop_run_on() on Dag {dag.dag_id!r}: the Dag has no tasks yet; write it at the end of the Dag")
    action = {"mark": check_choice(mark, ("success", "failed"), "stop_run_on(mark=)")}
    # Only triggers of tasks see a single run: the first one carries it.
    add_trigger(min(tasks, key=lambda task: task.task_id), condition, {"stop_run": action}, "stop_run_on()", name, at_most)
    return dag


def restart_on(
    task: Task,
    condition: Condition,
    *,
    mode: str = "control",
    grace: timedelta | float | None = None,
    name: str | None = None,
    at_most: int | None = None,
) -> Task:
    """Stop a task if it runs, and start it, when a condition is fulfilled. Parameters as in `start_on` and `stop_on`."""
    operator = _operator(task, "restart_on()")
    action = {"mode": check_choice(mode, MODES, "restart_on(mode=)"), **_grace(grace)}
    add_trigger(operator, condition, {"restart": action}, "restart_on()", name, at_most)
    take_events(operator)
    return task


def streaming(task: Task, *, counts: bool = False, times_out: bool = False) -> Task:
    """Declare that a task runs without an end: its run goes on while it does, and that is no deadlock.

    :param counts: whether its runs count against ``max_active_runs`` all the same.
    :param times_out: whether ``dagrun_timeout`` holds for them all the same.
    """
    options = {name: True for name, on in (("counts", counts), ("times_out", times_out)) if on}
    _attach(_operator(task, "streaming()"), streaming=options)
    return task


def periodic(
    task: Task,
    cron: str | None = None,
    *,
    interval: timedelta | float | None = None,
    timezone: str = "UTC",
    overlap: str = "skip",
    mode: str = "gate",
) -> Task:
    """Start a task again and again inside a run.

    :param overlap: when it still runs at a tick: ``skip`` the tick, ``queue`` it, or ``restart`` the task.
    :param mode: as in `start_on`.
    """
    operator = _operator(task, "periodic()")
    overlap = check_choice(overlap, OVERLAPS, "periodic(overlap=)")
    mode = check_choice(mode, MODES, "periodic(mode=)")
    if overlap == "restart":
        action = {"restart": {"mode": mode}}
    else:
        action = {"start": {"mode": mode, "when_running": "queue" if overlap == "queue" else "ignore"}}
    tick = Tick(cron, interval=interval, timezone=timezone)
    add_trigger(operator, tick, action, "periodic()", "periodic", None)
    _attach(operator, periodic={"overlap": overlap})
    take_events(operator)
    return task
