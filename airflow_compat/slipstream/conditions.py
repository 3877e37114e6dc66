"""Conditions over events: terms, and how they combine.

A condition is immutable; every method and operator makes a new one. Its JSON is what the scheduler reads.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from slipstream import functions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TASK_STATES = (
    "removed scheduled queued running success restarting failed up_for_retry up_for_reschedule upstream_failed skipped"
    " deferred awaiting_input"
).split()
"""States of a task instance, as Airflow spells them."""

PASSING = ("scheduled", "queued")
"""States of a task instance that are often over before anyone has seen them."""

RUN_STATES = ("queued", "running", "success", "failed")
"""States of a dag run."""

FIELD = re.compile(r"(key|type|namespace|source|id|sender|time)|(data|extensions)(\.[^.]+)*")


def check_field(field: str, where: str) -> str:
    """Return a path into an event such as ``data.shard``, or raise an error that says what is wrong with it."""
    if not isinstance(field, str) or not FIELD.fullmatch(field):
        raise ValueError(
            f"{where}: {field!r} is no field of an event; begin with key, type, namespace, source, id, sender, time,"
            " data or extensions, as in 'data.shard'"
        )
    return field


def check_name(value: str, what: str) -> str:
    """Return a name, which must be a text with something in it."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} must be a text that is not empty, not {value!r}")
    return value


def check_pattern(value: str, what: str) -> str:
    """Return an exact text, ``*``, or a prefix with ``*`` at its end."""
    if "*" in check_name(value, what)[:-1]:
        raise ValueError(f"{what}: in {value!r} there is a `*` before the end; only `*` alone and prefixes such as `model.*` work")
    return value


def check_condition(value: Any, where: str) -> Condition:
    """Return a condition; an asset stands for its update."""
    if isinstance(value, Condition):
        return value
    if isinstance(getattr(value, "uri", None), str):
        return AssetUpdate(value)
    if isinstance(value, str):
        raise TypeError(f"{where} needs a condition, not the text {value!r}: did you mean Event({value!r})?")
    raise TypeError(f"{where} needs a condition such as Event('key'), not {value!r}")


def seconds(where: str, span: timedelta | float | None, parts: dict[str, float]) -> float:
    """Return a time in seconds, given as a timedelta, as a number of seconds or in words (``hours=1``)."""
    if (span is None) == (not parts):
        raise TypeError(f"{where} needs a time, once: a timedelta, or seconds=, minutes=, hours= or days=")
    span = timedelta(**parts) if span is None else span
    total = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if total <= 0:
        raise ValueError(f"{where} needs a time of more than nothing, not {total} s")
    return int(total) if total.is_integer() else total


class Condition(ABC):
    """When something happens. Made by the terms (`Event`, `TaskState`, …) and combined with ``&``, ``|`` and methods."""

    @abstractmethod
    def to_json(self, dag_id: str | None = None) -> dict[str, Any]:
        """Return what the scheduler reads. ``dag_id`` is the Dag that the condition is used in, where it is known."""

    def __and__(self, other: Condition) -> Condition:
        """Both, in any order: the latest match of each."""
        return _Group("all", (self, other))

    def __or__(self, other: Condition) -> Condition:
        """One of the two."""
        return _Group("any", (self, other))

    def __bool__(self) -> bool:
        raise TypeError("conditions are combined with `&` and `|`, not with `and`, `or` and `not`")

    def count(self, n: int, *, distinct: str | None = None) -> Condition:
        """So many; with ``distinct``, so many that differ in a field."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"count() needs a whole number of at least 1, not {n!r}")
        if distinct is None:
            return _Around("count", self, {"n": n})
        return _Around("count", self, {"n": n, "distinct": check_field(distinct, "count(distinct=)")})

    def sum(self, field: str, *, at_least: float) -> Condition:
        """As many as it takes for a field to add up to an amount."""
        if isinstance(at_least, bool) or not isinstance(at_least, (int, float)):
            raise ValueError(f"sum(at_least=) needs a number, not {at_least!r}")
        return _Around("sum", self, {"field": check_field(field, "sum()"), "at_least": at_least})

    def passes(self, function: Callable[..., Any] | str, *, limit: float | None = None) -> Condition:
        """Only those that a Python function accepts: the last resort, where ``where=`` and the rest do not do.

        It is called with the event, a dictionary, and with what it remembers, ``None`` at first. It returns whether the
        event counts; or that and what it remembers from now on, which must be JSON::

            def enough(event, total):
                total = (total or 0) + event["data"]["rows"]
                return total >= 100, total


            Event("batch.done").passes(enough)

        It runs by itself in a process beside the scheduler: what it needs it imports inside. A text names a function that
        is imported there: ``passes("my_company.checks.enough")``.

        :param limit: seconds that one call may take; 5 unless it is said otherwise.
        """
        return _Around("python", self, functions.to_json(function, limit))

    def within(self, span: timedelta | float | None = None, **parts: float) -> Condition:
        """With all of its events at most so far apart."""
        return _Around("within", self, {"seconds": seconds("within()", span, parts)})

    def none_for(self, span: timedelta | float | None = None, **parts: float) -> Condition:
        """When none comes for so long: since the start, since the last one, or in a sequence since the step before."""
        return _Around("none", self, {"seconds": seconds("none_for()", span, parts)})

    def debounce(self, span: timedelta | float | None = None, **parts: float) -> Condition:
        """Once for a burst, when none has come for so long after it."""
        return _Around("debounce", self, {"seconds": seconds("debounce()", span, parts)})

    def by(self, field: str) -> Condition:
        """Kept apart by a field: events with different values have nothing to do with each other."""
        return _Around("by", self, {"field": check_field(field, "by()")})

    def then(self, *others: Condition) -> Condition:
        """Followed by others, one after the other."""
        return sequence(self, *others)

    def once(self) -> Condition:
        """With events that are used up by a firing, which is how terms are made."""
        return self._with_terms(repeated=False)

    def repeated(self) -> Condition:
        """With events that still count for the next firings."""
        return self._with_terms(repeated=True)

    def latest(self) -> Condition:
        """With terms of which the latest event decides: one that the filter declines makes an earlier match void."""
        return self._with_terms(latest=True)

    @abstractmethod
    def _with_terms(self, **flags: bool) -> Condition:
        """Return the same condition, its terms with these flags."""


class _Term(Condition):
    kind = ""

    def __init__(self, where: str | None) -> None:
        self.flags: dict[str, bool] = {}
        self.where = None if where is None else check_name(where, f"{type(self).__name__}(where=)")

    @abstractmethod
    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        """Return what says which events the term means."""

    def _with_terms(self, **flags: bool) -> Condition:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, flags={**self.flags, **flags})
        return copy

    def to_json(self, dag_id: str | None = None) -> dict[str, Any]:
        inside = self._inside(dag_id)
        if self.where is not None:
            inside["where"] = self.where
        inside.update((name, True) for name, on in self.flags.items() if on)
        return {self.kind: inside}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self._inside(None).items())
        return f"{type(self).__name__}({inside})"


class Event(_Term):
    """Events of the log.

    :param key: the key (CloudEvents ``subject``): exact, ``*``, or a prefix such as ``model.*``.
    :param type: CloudEvents ``type``, in the same three forms; so are the next three.
    :param where: a filter in CEL over the whole event: ``"data.score > 0.8 && sender == 'trainer'"``.
    """

    kind = "event"

    def __init__(
        self,
        key: str = "*",
        *,
        type: str = "*",  # noqa: A002 - as CloudEvents names it
        namespace: str = "default",
        source: str = "*",
        sender: str = "*",
        where: str | None = None,
    ) -> None:
        super().__init__(where)
        self.key = check_pattern(key, "Event(key)")
        others = {"type": type, "namespace": namespace, "source": source, "sender": sender}
        self.others = {name: check_pattern(value, f"Event({name}=)") for name, value in others.items()}

    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        usual = {"namespace": "default"}
        others = {name: value for name, value in self.others.items() if value != usual.get(name, "*")}
        return {"key": self.key, **others}


def _states(states: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    texts = [str(getattr(state, "value", state)) for state in states]
    for text in texts:
        if text not in known:
            raise ValueError(f"{what}: {text!r} is no state; the states are {', '.join(known)}")
    return texts


class TaskState(_Term):
    """A task gets a state.

    :param task: the task, or its id; of the same Dag (then in the same run), or with ``dag_id`` of another one.
    :param states: one or more states; ``success`` without any.
    """

    kind = "task_state"

    def __init__(
        self,
        task: Any,
        *states: str,
        dag_id: str | None = None,
        map_index: int | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(where)
        self.dag_id = dag_id
        self.task = task if isinstance(task, str) else getattr(task, "operator", task)
        check_name(self._task_id(), "TaskState(task)")
        what = f"TaskState({self._task_id()!r})"
        self.states = _states(states or ("success",), TASK_STATES, what)
        for state in self.states:
            if state in PASSING:
                raise ValueError(f"{what}: {state!r} is often over before it is seen; wait for 'running'")
        self.map_index = map_index

    def _task_id(self) -> str:
        return self.task if isinstance(self.task, str) else getattr(self.task, "task_id", "")

    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        inside: dict[str, Any] = {"task_id": self._task_id(), "states": self.states}
        its_dag = self.dag_id
        if its_dag is None and not isinstance(self.task, str) and self.task.has_dag() and self.task.dag_id != dag_id:
            its_dag = self.task.dag_id
        if its_dag is not None:
            inside["dag_id"] = its_dag
        if self.map_index is not None:
            inside["map_index"] = self.map_index
        return inside


class RunState(_Term):
    """A dag run gets a state: the own run, or with ``dag`` (a Dag or its id) any run of that Dag.

    The Dag comes first: ``RunState("etl", "failed")``; ``RunState(None, "failed")`` is the own run.
    """

    kind = "run_state"

    def __init__(self, dag: Any = None, *states: str, where: str | None = None) -> None:
        super().__init__(where)
        if isinstance(dag, str) and dag in RUN_STATES and not states:
            raise ValueError(f"RunState({dag!r}): name the Dag first, or None for the own run: RunState(None, {dag!r})")
        self.dag_id = None if dag is None else check_name(getattr(dag, "dag_id", dag), "RunState(dag)")
        self.states = _states(states or ("success",), RUN_STATES, "RunState")

    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        inside: dict[str, Any] = {"states": self.states}
        return inside if self.dag_id is None else {"dag_id": self.dag_id, **inside}


def _as_airflow_keeps_it(uri: str) -> str:
    """Return a URI as Airflow stores it for an asset: ``y://b`` is ``y://b/`` there. Without Airflow, as it is."""
    try:
        from airflow.sdk import Asset
    except ImportError:
        return uri
    return Asset(name=uri, uri=uri).uri


class AssetUpdate(_Term):
    """An asset is updated, by whichever Dag. Given as the asset or as its URI."""

    kind = "asset"

    def __init__(self, asset: Any, *, where: str | None = None) -> None:
        super().__init__(where)
        uri = check_pattern(getattr(asset, "uri", asset), "AssetUpdate(asset)")
        self.uri = _as_airflow_keeps_it(uri) if uri is asset and not uri.endswith("*") else uri

    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        return {"uri": self.uri}


class Tick(_Term):
    """The clock: a cron expression in a time zone, or an interval."""

    kind = "tick"

    def __init__(self, cron: str | None = None, *, interval: timedelta | float | None = None, timezone: str = "UTC") -> None:
        super().__init__(None)
        if (cron is None) == (interval is None):
            raise TypeError("Tick needs either a cron expression or interval=")
        if interval is not None:
            self.rhythm: dict[str, Any] = {"interval": seconds("Tick(interval=)", interval, {})}
            return
        if cron and len(cron.split()) not in (5, 6, 7) and not cron.startswith("@"):
            raise ValueError(f"Tick: {cron!r} is no cron expression; it has five fields, as in '0 9 * * 1-5'")
        self.rhythm = {"cron": check_name(cron or "", "Tick(cron)")}
        if str(timezone).upper() != "UTC":
            self.rhythm["timezone"] = str(timezone)

    def _inside(self, dag_id: str | None) -> dict[str, Any]:
        return dict(self.rhythm)


class _Group(Condition):
    """Several conditions: ``any``, ``all`` or ``sequence``. Groups of the same kind in it become one, but for sequences."""

    def __init__(self, kind: str, parts: Iterable[Any]) -> None:
        self.kind = kind
        self.parts: list[Condition] = []
        for part in parts:
            condition = check_condition(part, {"any": "`|`", "all": "`&`"}.get(kind, "sequence()"))
            if kind != "sequence" and isinstance(condition, _Group) and condition.kind == kind:
                self.parts.extend(condition.parts)
            else:
                self.parts.append(condition)

    def to_json(self, dag_id: str | None = None) -> dict[str, Any]:
        return {self.kind: [part.to_json(dag_id) for part in self.parts]}

    def _with_terms(self, **flags: bool) -> Condition:
        return _Group(self.kind, [part._with_terms(**flags) for part in self.parts])

    def __repr__(self) -> str:
        if self.kind == "sequence":
            return f"sequence({', '.join(map(repr, self.parts))})"
        return "(" + {"any": " | ", "all": " & "}[self.kind].join(map(repr, self.parts)) + ")"


class _Around(Condition):
    """A condition with something said about it."""

    def __init__(self, kind: str, of: Condition, inside: dict[str, Any]) -> None:
        self.kind, self.of, self.inside = kind, of, inside
        if kind == "sum" and not _is_single(of):
            raise ValueError("sum() adds up a field of single events: use it on an Event, or on several with `|`")
        if kind == "python" and not _is_single(of):
            raise ValueError("passes() asks about single events: use it on an Event, or on several with `|`")

    def to_json(self, dag_id: str | None = None) -> dict[str, Any]:
        return {self.kind: {"of": self.of.to_json(dag_id), **self.inside}}

    def _with_terms(self, **flags: bool) -> Condition:
        return _Around(self.kind, self.of._with_terms(**flags), self.inside)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.inside.items() if name != "source")
        return f"{self.of!r}.{ {'none': 'none_for', 'python': 'passes'}.get(self.kind, self.kind)}({inside})"


def _is_single(condition: Condition) -> bool:
    if isinstance(condition, _Around) and condition.kind == "by":
        return _is_single(condition.of)
    if isinstance(condition, _Group) and condition.kind == "any":
        return all(_is_single(part) for part in condition.parts)
    return isinstance(condition, _Term)


def sequence(*conditions: Condition) -> Condition:
    """One condition after the other: each counts only after those before it."""
    if not conditions:
        raise TypeError("sequence() needs at least one condition")
    return _Group("sequence", conditions)


def none_for(condition: Condition, span: timedelta | float | None = None, **parts: float) -> Condition:
    """When none comes for so long: the same as ``condition.none_for(..)``."""
    return check_condition(condition, "none_for()").none_for(span, **parts)
