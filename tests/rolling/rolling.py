"""A rolling restart without end: stock schedulers are replaced by Slipstream's one after the other, and back, under load.

Several schedulers (three, if nothing else is said) and a dag-processor work on one PostgreSQL, beside an unmodified api-server and
triggerer. All begin as stock. One after the other is ended, in order or with `kill -9`, and replaced by the other program, before
or after its end, until all are Slipstream's; then back; and so on, until the time is up. The seed gives every choice. Meanwhile Dags
run on short schedules: mapped, deferred, retried, through narrow pools, with limits that are always in demand. Afterwards every
row of the report must be `ok`.

    make test-rolling ARGS="--minutes 10 --seed 7 --kills 0.3 --report report.md"
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("chaos", "crash", "conformance"))]
import oracle  # noqa: E402
import processes  # noqa: E402
from fleet import Fleet, Place  # noqa: E402
from forgotten import MISMATCHES, forgotten  # noqa: E402
from kept import TRIGGERER, dump, wait  # noqa: E402
from limits import Limits  # noqa: E402
from load import NARROW, Load  # noqa: E402
from report import Round, conclude, say  # noqa: E402
from steps import PROCESSOR, steps  # noqa: E402

DAGS = {"chain", "minutely", "mapped", "retried", "deferred", "by_hand", "limited", "long"}
CHECKS = {name: check for name, check in oracle.CHECKS.items() if check is not oracle.events}
"""Event triggers are Slipstream's alone."""
SERVED = """
select round(extract(epoch from percentile_cont(0.5) within group (order by end_date - queued_at))::numeric, 1),
       round(extract(epoch from max(end_date - queued_at))::numeric, 1)
from dag_run where dag_id = 'by_hand' and state = 'success'
"""
"""How long manual runs took, in seconds: half of them, all of them."""


def dags(folder: Path) -> Path:
    """The load of the chaos test without the events, and our own."""
    folder.mkdir()
    for file in (HERE.parent / "chaos/dags/noting.py", HERE.parent / "chaos/dags/load.py", HERE / "dags/limited.py"):
        shutil.copy(file, folder)
    return folder


def roll(fleet: Fleet, options: argparse.Namespace, one: Round, since: float) -> None:
    """Replaces, pass after pass, until the time is up; a manual run comes before each step."""
    until = since + options.minutes * 60
    for step in steps(options.seed, options.schedulers, options.pause, options.kills):
        wait(min(time.monotonic() + step.pause, until), lambda: False, fleet)
        if time.monotonic() >= until:
            return
        try:
            fleet.trigger("by_hand")
        except OSError as error:
            # The api-server is stock's, and may be out of connections.
            one.done["a manual run was refused by the api-server"] += 1
            say(since, f"a manual run was refused: {error}")
        say(since, fleet.replace(step))
        one.done[f"{'killed' if step.kill else 'ended'}, to {step.to}, {'before it' if step.surge else 'after it'}"] += 1
        if step.last:
            one.done[f"all are {step.to}'s"] += 1
            say(since, f"all are {step.to}'s")


def play(options: argparse.Namespace, home: Path) -> Round:
    kills = f", {options.kills:.0%} of them with kill -9" if options.kills else ""
    one = Round(f"Seed {options.seed}, {options.minutes:g} minutes of replacements{kills}, {options.schedulers} schedulers, {os.cpu_count()} cores.")
    load = Load(options.minutes * 60 + 10, options.every, home / "notes")
    env = load.environ() | {
        "CHAOS_PAUSE": "1.5",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__CORE__PARALLELISM": "6",
    }
    fleet = Fleet("stock", home, dags(home / "dags"), "postgres", env, api=True, roles=[], patience=options.limit)
    fleet.schedulers = options.schedulers
    with fleet:
        fleet.sql(NARROW)
        fleet.places = {place.role(): place for place in map(Place, range(options.schedulers))}
        for role in [PROCESSOR, TRIGGERER, *fleet.places]:
            fleet.start_role(role)
        if not wait(time.monotonic() + options.limit, lambda: {row[0] for row in fleet.sql("select dag_id from serialized_dag")} == DAGS, fleet):
            raise TimeoutError(f"the Dags are not there; import errors: {fleet.sql('select filename, stacktrace from import_error')}")
        since = time.monotonic()
        fleet.limits = Limits(fleet, every=0.25)
        say(since, "the load runs")
        roll(fleet, options, one, since)
        say(since, "no more is replaced")
        seen = {}

        def drained() -> bool:
            lost = forgotten(fleet.lines("reported that the task instance"), fleet.sql(MISMATCHES))
            seen["facts"] = load.facts(fleet, load.due("limited", "long"), exceeded=fleet.limits.exceeded, forgotten=lost)
            return not (oracle.stuck(seen["facts"]) or oracle.intervals(seen["facts"]))

        wait(time.monotonic() + options.limit, drained, fleet)
        now = seen["facts"]
        say(since, "the load has ended")
        one.rows = {name: check(now) for name, check in CHECKS.items()}
        if one.failed():
            dump(fleet, home / "database.sql")
        ((half, longest),) = fleet.sql(SERVED)
        for role in list(fleet.leaving):
            fleet.wait_gone(role)
        one.rows["no process is left over"] = fleet.end(options.limit)
        one.rows["all that was replaced ended, and its successor worked; nothing of ours ended by itself or panicked"] = fleet.ended + fleet.panics()
        one.numbers = {
            "runs": len(now.runs), "tries": len(now.tries), "tries that did not succeed": sum(row[5] != "success" for row in now.tries),
            "tries of deferred tasks that stock has forgotten": len(now.forgotten),
            "looks at the limits": fleet.limits.looks,
            "seconds until a manual run had succeeded": f"median {half}, at most {longest}",
            "started again after an exit of their own": ", ".join(f"{role}: {times}" for role, times in fleet.restarts.items()) or "none",
        }
    return one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long schedulers are replaced")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--schedulers", type=int, default=3, help="how many there are")
    parser.add_argument("--every", type=float, default=15, help="seconds between the runs of the densest Dag")
    parser.add_argument("--pause", type=float, default=5, help="seconds between a replacement and the next, on average")
    parser.add_argument("--kills", type=float, default=0, help="how many of the replaced get kill -9 instead of SIGTERM, between 0 and 1")
    parser.add_argument("--limit", type=float, default=180, help="seconds to begin, to end the load, and to stop")
    parser.add_argument("--report", type=Path, help="where to write the report as Markdown")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    processes.adopt_orphans()
    home = Path(tempfile.mkdtemp(prefix="slipstream-rolling-"))
    return conclude(play(options, home), home, options.report)


if __name__ == "__main__":
    sys.exit(main())
