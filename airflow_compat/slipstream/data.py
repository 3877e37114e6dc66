"""Data dependencies: the inlets and outlets of tasks instead of arrows between them."""

from __future__ import annotations

from typing import Any

from slipstream.conditions import AssetUpdate, Condition, TaskState
from slipstream.tasks import MODES, WHEN_RUNNING, add_trigger, check_choice, take_events


def _uris(items: Any) -> list[str]:
    return [item.uri for item in items or [] if isinstance(getattr(item, "uri", None), str)]


def is_mapped(task: Any) -> bool:
    """Return whether a task has copies: it is mapped, or in a mapped task group."""
    return hasattr(task, "partial_kwargs") or bool(task.get_needs_expansion())


def by_data(dag: Any, *, mode: str = "gate", when_running: str = "queue") -> Any:
    """Let every task of a Dag that has inlets start when all of them are new.

    What another task of the same Dag makes is new when that task, with all its copies, succeeds in the same run; any other asset is new when
    anyone updates it. To be called when the Dag has all of its tasks.

    :return: the Dag
    """
    action = {
        "mode": check_choice(mode, MODES, "by_data(mode=)"),
        "when_running": check_choice(when_running, WHEN_RUNNING, "by_data(when_running=)"),
    }
    makers: dict[str, list[Any]] = {}
    for task in dag.tasks:
        for uri in _uris(task.outlets):
            makers.setdefault(uri, []).append(task)
    consumers = [(task, _uris(task.inlets)) for task in dag.tasks]
    if not any(uris for _, uris in consumers):
        raise ValueError(f"by_data(): no task of Dag {dag.dag_id!r} has an asset among its inlets")
    for task, uris in consumers:
        if uris:
            add_trigger(task, _all_new(task, uris, makers), {"start": action}, "by_data()", "by_data", None)
            take_events(task)
    return dag


def _all_new(task: Any, uris: list[str], makers: dict[str, list[Any]]) -> Condition:
    whole: Condition | None = None
    for uri in dict.fromkeys(uris):
        part: Condition | None = None
        for maker in makers.get(uri, []):
            if maker is task:
                raise ValueError(f"by_data(): task {task.task_id!r} has {uri!r} among its inlets and its outlets")
            # Of a mapped task, all copies have to be done.
            made = TaskState(maker, where="data.remaining == 0" if is_mapped(maker) else None)
            part = made if part is None else part | made
        part = AssetUpdate(uri) if part is None else part
        whole = part if whole is None else whole & part
    assert whole is not None
    return whole
