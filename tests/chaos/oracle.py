"""What must be true after the faults, whatever they were. Pure functions of what was read from the tables and the notes."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from datetime import datetime, timedelta

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}


@dataclass
class Facts:
    due: dict[str, list[datetime]]
    """Logical dates that each scheduled Dag must have run for."""
    runs: list[tuple]
    """dag_id, run_id, logical_date, state"""
    tries: list[tuple]
    """dag_id, run_id, task_id, map_index, try_number, state; of `task_instance` and of its history"""
    now: list[tuple]
    """The same of `task_instance` alone."""
    notes: list[str]
    """dag_id run_id task_id map_index try_number word"""
    sent: list[str] = field(default_factory=list)
    """Ids of the events that were confirmed."""
    unconfirmed: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    """Ids of the events in the log."""
    fired: list[str] = field(default_factory=list)
    """Ids of the events that made runs, one for each run."""
    left_to_judge: int = 0
    exceeded: list[str] = field(default_factory=list)
    """Limits that were exceeded when somebody looked."""
    forgotten: set[tuple] = field(default_factory=set)
    """Tries, as in `tries` without the state, that a stock scheduler is known to have given up without an outcome."""


def due(first: datetime, until: datetime, every: timedelta) -> list[datetime]:
    dates = []
    while first <= until:
        dates.append(first)
        first += every
    return dates


def intervals(facts: Facts) -> list[str]:
    found = []
    for dag, wanted in facts.due.items():
        dates = collections.Counter(row[2] for row in facts.runs if row[0] == dag)
        found += [f"{dag} has no run for {date}" for date in wanted if date not in dates]
        found += [f"{dag} has {count} runs for {date}" for date, count in dates.items() if count > 1]
        found += [f"{dag} has a run for {date}, which was not due" for date in dates if date not in wanted]
    return found


def outcomes(facts: Facts) -> list[str]:
    """Every try is one row, and no row contradicts what the task itself noted."""
    found = []
    rows = collections.Counter(row[:5] for row in facts.tries)
    found += [f"{count} outcomes of one try: {name(key)}" for key, count in rows.items() if count > 1]
    for key in {row[:4] for row in facts.now}:
        numbers = {row[4] for row in rows if row[:4] == key}
        missing = set(range(1, max(numbers) + 1)) - numbers
        found += [f"a try without an outcome: {name((*key, number))}" for number in sorted(missing)
                  if (*key, number) not in facts.forgotten]
    forgotten = {name(key) for key in facts.forgotten}
    for line, count in collections.Counter(facts.notes).items():
        if count > 1 and line.rsplit(" ", 1)[0] not in forgotten:
            found.append(f"noted {count} times: {line}")
    noted = set(facts.notes)
    for row in facts.tries:
        if row[5] == "success" and not any(f"{name(key)} end" in noted for key in ran_as(row[:5], facts)):
            found.append(f"a success of a task that did not come to its end: {name(row[:5])}")
    known = {name(row[:5]) for row in facts.tries} | forgotten
    for line in sorted({line.rsplit(" ", 1)[0] for line in facts.notes} - known):
        found.append(f"a try that ran and has no row: {line}")
    return found


def ran_as(key: tuple, facts: Facts) -> list[tuple]:
    """As which tries the process of a try may have noted its end: the executor of the stock scheduler that forgot a try may still
    have it in its queue, and stock's API lets that process begin in the place of the next try, if that is queued."""
    before = (*key[:4], key[4] - 1)
    return [key, before] if before in facts.forgotten else [key]


def stuck(facts: Facts) -> list[str]:
    found = [f"run {row[0]} {row[1]} is {row[3]}" for row in facts.runs if row[3] not in ENDED]
    found += [f"task {name(row[:5])} is {row[5]}" for row in facts.now if row[5] not in ENDED]
    if facts.left_to_judge:
        found.append(f"{facts.left_to_judge} events have not been put to triggers")
    return found


def ends(facts: Facts) -> list[str]:
    """Every task has tries enough for all that happens to it."""
    return [f"run {row[0]} {row[1]} is {row[3]}" for row in facts.runs if row[3] in ENDED and row[3] != "success"]


def limits(facts: Facts) -> list[str]:
    holding = [f"{name(row[:5])} holds a slot as {row[5]}" for row in facts.now if row[5] in ("queued", "running", "deferred")]
    return holding + facts.exceeded


def events(facts: Facts) -> list[str]:
    found = [f"never confirmed: {one}" for one in facts.unconfirmed]
    stored, fired = collections.Counter(facts.stored), collections.Counter(facts.fired)
    for one in facts.sent:
        if stored[one] != 1:
            found.append(f"event {one} is in the log {stored[one]} times")
        if fired[one] != 1:
            found.append(f"event {one} has fired {fired[one]} times")
    found += [f"event {one} has fired, but was not sent" for one in fired if one not in set(facts.sent)]
    return found


def name(key: tuple) -> str:
    return " ".join(str(part) for part in key)


CHECKS = {
    "each due interval has exactly one run": intervals,
    "every run ended in success": ends,
    "each try has exactly one outcome": outcomes,
    "no row is stuck": stuck,
    "pools are at zero, and no limit was ever exceeded": limits,
    "no event was lost or fired twice": events,
}
