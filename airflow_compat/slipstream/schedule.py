"""The schedule of a Dag that runs on events."""

from __future__ import annotations

from typing import Any

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
    :param stop: when the Dag's running runs are stopped.
    :param stop_mark: the state they get: ``failed`` or ``success``.
    """

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
        register = encoders._Serializer.serialize_timetable.register
        register(EventSchedule, lambda _, timetable: timetable.serialize())
