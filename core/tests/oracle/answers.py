"""Answers questions about timetables with Airflow's own classes: one JSON document in, one out."""

import datetime
import json
import logging
import sys
import types

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from airflow._shared.timezones import timezone
from airflow.serialization.decoders import decode_partition_mapper, decode_timetable
from airflow.serialization.encoders import encode_partition_mapper
from airflow.timetables import base, interval, trigger
from airflow.utils.types import DagRunType

logging.disable(logging.CRITICAL)
NOW = None


def utcnow():
    return NOW


for module in (interval, trigger, timezone):
    module.utcnow = utcnow
trigger.time = types.SimpleNamespace(time=lambda: NOW.timestamp())
trigger.get_random_string = lambda: "aB3dE5gH"
trigger.log = types.SimpleNamespace(info=lambda *a, **k: None, warning=lambda *a, **k: None)


def instant(micros):
    if micros is None:
        return None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return timezone.coerce_datetime(timezone.convert_to_utc(epoch + datetime.timedelta(microseconds=micros)))


def micros(value):
    if value is None:
        return None
    delta = timezone.convert_to_utc(value) - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return round(delta.total_seconds() * 1_000_000)


def cron(question):
    naive = instant(question["at"]).replace(tzinfo=None)
    start = datetime.datetime(*naive.timetuple()[:6], naive.microsecond)
    try:
        it = croniter(question["expression"], start_time=start)
    except CroniterBadCronError:
        return "invalid"
    try:
        found = it.get_next(datetime.datetime) if question["next"] else it.get_prev(datetime.datetime)
    except CroniterBadDateError:
        return "no date"
    return [micros(found.replace(tzinfo=datetime.timezone.utc)), it.expanded[1] == ["*"]]


def info_of(info):
    if info is None:
        return None
    span = info.data_interval
    return [
        micros(info.run_after),
        micros(span.start) if span else None,
        micros(span.end) if span else None,
        info.partition_key,
        micros(info.partition_date),
    ]


def sequence(question):
    global NOW
    timetable = decode_timetable(question["timetable"])
    restriction = base.TimeRestriction(instant(question["earliest"]), instant(question["latest"]), question["catchup"])
    out, last, now = [], None, question["now"]
    for _ in range(question["steps"]):
        NOW = instant(now)
        try:
            info = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)
        except Exception:
            out.append("error")
            break
        out.append(info_of(info))
        if info is None:
            break
        last, now = info, now + question["advance"]
    try:
        manual = timetable.infer_manual_data_interval(run_after=instant(question["now"]))
        manual = [micros(manual.start), micros(manual.end)]
    except Exception:
        manual = "error"
    return [out, manual]


def attempt(call):
    try:
        return call()
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        return "error " + ("ValueError" if isinstance(error, (ValueError, KeyError, OverflowError)) else "TypeError")


def mapper(question):
    try:
        made = decode_partition_mapper(question["mapper"])
    except (ValueError, TypeError):
        return "invalid"
    keys = attempt(lambda: made.to_downstream(question["key"]))
    if isinstance(keys, str) and not keys.startswith("error "):
        keys = [keys]
    first = question["key"] if isinstance(keys, str) or not keys else keys[0]
    date = attempt(lambda: micros(made.to_partition_date(first)))
    upstream = attempt(lambda: sorted(made.to_upstream(first))) if made.is_rollup else None
    if question["unordered"] and not isinstance(keys, str):
        keys, date = sorted(keys), None
    return [keys, date, upstream, encode_partition_mapper(made)]


def kind(question):
    made = decode_timetable(question["timetable"])
    run_ids = [
        made.generate_run_id(
            run_type=run_type,
            run_after=instant(question["at"]),
            data_interval=None,
            partition_key=question["partition_key"],
        )
        for run_type in (DagRunType.SCHEDULED, DagRunType.ASSET_TRIGGERED, DagRunType.MANUAL)
    ]
    return [
        made.periodic,
        made.can_be_scheduled,
        made.partitioned,
        made.partitioned_at_runtime,
        made.active_runs_limit,
        base.compute_rollup_fingerprint(made),
        run_ids,
    ]


questions = json.load(sys.stdin)
json.dump(
    {
        "cron": [cron(q) for q in questions["cron"]],
        "sequence": [sequence(q) for q in questions["sequence"]],
        "kind": [kind(q) for q in questions["kind"]],
        "mapper": [mapper(q) for q in questions["mapper"]],
    },
    sys.stdout,
)
