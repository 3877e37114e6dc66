"""The schedule of a Dag that runs on events."""

from __future__ import annotations

from typing import Any

from airflow.sdk.definitions.timetables.assets import PartitionedAtRuntime
from airflow.sdk.definitions.timetables.simple import NullTimetable

from slipstream.conditions import Condition, check_condition, check_field
from slipstream.tasks import check_choice, named

WHILE_ACTIVE = ("run", "skip", "queue")


class EventSchedule(NullTimetable):
    """Makes a run of the Dag when a condition is fulfilled.

    For Airflow this is the timetable of a Dag without a schedule: its own scheduler runs such a Dag by hand only.

    :param condition: when a run is made.
    :param while_active: while another run of the same lane is active: make the ``run`` all the same (it waits for
        ``max_active_runs``), ``skip`` the firing, or ``queue`` it until the lane is free.
    :param lane: the field whose value is the lane; all runs of the Dag share one without it.
    :param conf: the field of the event that becomes the run's conf, an object.
    :param logical_date: the field that is the run's logical date.
    :param partition_key: the field that is the run's partition key.
    :param stop: when the Dag's active runs are ended; by an event of one of them only that one.
    :param stop_mark: the state they get: ``failed`` or ``success``.
    """

    def __new__(cls, *_: Any, partition_key: str | None = None, **__: Any) -> EventSchedule:
        # Runs have a partition key only under a timetable that says so.
        return super().__new__(_PartitionedEventSchedule if partition_key is not None else cls)

    def __init__(
        self,
        condition: Condition | None = None,
        *,
        while_active: str = "run",
        lane: str | None = None,
        conf: str | None = None,
        logical_date: str | None = None,
        partition_key: str | None = None,
        stop: Condition | None = None,
        stop_mark: str = "failed",
        name: str | None = None,
        at_most: int | None = None,
    ) -> None:
        if condition is None and stop is None:
            raise TypeError("EventSchedule needs a condition, as in EventSchedule(Event('key'))")
        options = {"while_active": check_choice(while_active, WHILE_ACTIVE, "EventSchedule(while_active=)")}
        fields = {"lane": lane, "conf": conf, "logical_date": logical_date, "partition_key": partition_key}
        for option, field in fields.items():
            if field is not None:
                options[option] = check_field(field, f"EventSchedule({option}=)")
        self.triggers: list[dict[str, Any]] = []
        if condition is not None:
            self._add(condition, {"run": options}, name, at_most)
        if stop is not None:
            mark = check_choice(stop_mark, ("failed", "success"), "EventSchedule(stop_mark=)")
            self._add(stop, {"stop_runs": {"mark": mark}}, None if name is None else f"{name}.stop", None)
        _register()

    def _add(self, condition: Any, action: dict[str, Any], name: str | None, at_most: int | None) -> None:
        on = check_condition(condition, "EventSchedule").to_json()
        trigger: dict[str, Any] = {"version": 1, "on": on, "do": action}
        named(trigger, "EventSchedule", name, at_most)
        self.triggers.append(trigger)

    def serialize(self) -> dict[str, Any]:
        """Return what the serialized Dag holds beside the name of Airflow's ``NullTimetable``, which ignores it."""
        return {"slipstream": {"triggers": self.triggers}}


class _PartitionedEventSchedule(EventSchedule):
    """An ``EventSchedule`` whose runs have partition keys: for Airflow a Dag whose keys are set at run time."""

    partitioned_at_runtime = True


def _register() -> None:
    """Let Airflow serialise this timetable under the name of the one it stands for.

    The registry is in Airflow's core. A process without that (the Task SDK alone) serialises no Dags.
    """
    try:
        from airflow.serialization import encoders
    except ImportError:
        return
    known = encoders._serializer.BUILTIN_TIMETABLES
    if EventSchedule not in known:
        known[EventSchedule] = known[NullTimetable]
        known[_PartitionedEventSchedule] = known[PartitionedAtRuntime]
        register = encoders._Serializer.serialize_timetable.register
        register(EventSchedule, lambda _, timetable: timetable.serialize())
