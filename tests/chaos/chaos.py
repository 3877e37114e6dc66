"""A soak: harm of every kind to a deployment of several schedulers under a mixed load, and then the question what is wrong.

For so many minutes schedulers, workers, the dag-processor, zygotes and tasks are killed, stopped for a while and restarted,
PostgreSQL is shut down at once and started again, connections are cut and stalled. The seed gives every choice. Meanwhile
Dags run on short schedules, mapped, deferred, retried and on events. Afterwards every row of the report must be `ok`.

    make chaos ARGS="--minutes 10 --seed 7 --report report.md"
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "crash"), str(HERE.parent / "conformance")]
import engines  # noqa: E402
import oracle  # noqa: E402
import processes  # noqa: E402
import psycopg2  # noqa: E402
from clocks import Clocks, compiler  # noqa: E402
from crash import Server  # noqa: E402
from deployment import PROCESSOR, Deployment  # noqa: E402
from kept import TRIGGERER, dump, wait  # noqa: E402
from limits import Limits  # noqa: E402
from load import NARROW, Load  # noqa: E402
from plan import CLOCKS, KINDS, Fault, plan  # noqa: E402
from proxy import Proxy  # noqa: E402
from report import Round, conclude, say  # noqa: E402
from sender import Sender  # noqa: E402

DAGS = ["chain", "minutely", "mapped", "retried", "deferred", "on_event", "by_hand"]


class ByHand:
    """Makes manual runs."""

    def __init__(self, deployment: Deployment) -> None:
        self.number = 0
        self.log = open(deployment.home / "proc" / "by-hand.log", "ab")
        self.process = subprocess.Popen(
            [engines.AIRFLOW_BIN / "python", HERE / "by_hand.py"], env=deployment.environ(), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)

    def answer(self, limit: float) -> str:
        while select.select([self.process.stdout], [], [], limit)[0]:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("by_hand.py has ended, see by-hand.log")
            # Airflow may say something else there.
            if line.startswith(("ready", "made")) or "Error" in line:
                return line.strip()
        return "no answer"

    def make(self, run_id: str = "") -> str:
        self.number += 1
        self.process.stdin.write(f"{run_id or f'hand-{self.number}'}\n")
        return self.answer(60)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def harm(deployment: Deployment, faults: list[Fault], one: Round, limits: Limits, since: float) -> None:
    """Carries out the plan, and notes whether a limit was ever exceeded."""
    undo = []
    while faults or undo:
        now = time.monotonic() - since
        for entry in sorted(undo, key=lambda entry: entry[0]):
            if entry[0] <= now:
                undo.remove(entry)
                entry[1]()
                say(since, f"undone: {entry[2]}")
        if faults and faults[0].at <= now:
            fault = faults.pop(0)
            if fault.whom in ("postgres", "proxy") and any(entry[3] in ("postgres", "proxy") for entry in undo):
                # A database that is down cannot go down, and is not to be kept down by a stall.
                say(since, f"{fault.text()}: left out, the database is away")
                continue
            what, function = deployment.harm(fault)
            one.done[f"{fault.what} {fault.whom}"] += 1
            say(since, f"{fault.text()}: {what}")
            if function:
                undo.append((time.monotonic() - since + fault.length, function, what, fault.whom))
        deployment.keep()
        if not any(entry[3] == "postgres" for entry in undo):
            with contextlib.suppress(psycopg2.Error):
                limits.look()
        time.sleep(0.05)


def serves(deployment: Deployment, hand: ByHand, limit: float) -> float | None:
    """Seconds until a manual run has succeeded."""
    since = time.monotonic()
    made = False

    def succeeded() -> bool:
        nonlocal made
        made = made or hand.make() == "made"
        return made and deployment.sql("select 1 from dag_run where run_id like 'hand-%' and state = 'success'") != []

    # Longer than allowed, so that the report says how long it took.
    return time.monotonic() - since if wait(since + 6 * limit, succeeded, deployment) else None


def facts(deployment: Deployment, load: Load, sender: Sender, unconfirmed: list[str], limits: Limits) -> oracle.Facts:
    head = deployment.sql("select (select last_position from slipstream_log_head) - position from slipstream_cursor where name = 'engine'")
    return load.facts(
        deployment, load.due(),
        sent=list(sender.sent),
        unconfirmed=unconfirmed,
        stored=[row[0] for row in deployment.sql("select id from slipstream_event where source = 'chaos'")],
        fired=[row[0] for row in deployment.sql("select conf->'triggering_events'->0->>'id' from dag_run where dag_id = 'on_event'")],
        left_to_judge=head[0][0] if head else 0,
        exceeded=limits.exceeded,
    )


def taken_for_dead(deployment: Deployment, now: oracle.Facts) -> list[str]:
    """What must be true where all that happens to anybody is that its clock is wrong by less than the limits."""
    # A row that said so says otherwise after the next heartbeat.
    dead = deployment.lines("SchedulerJob instances as failed")
    # Its first try is meant to fail.
    lost = [row for row in now.tries if row[5] != "success" and (row[0], row[4]) != ("retried", 1)]
    return dead + [f"{oracle.name(row[:5])} is {row[5]}" for row in lost]


def chosen(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The kinds of harm that there will be."""
    kinds = KINDS + (CLOCKS if options.clocks else [])
    if options.clocks and not compiler():
        print("there is no C compiler (gcc), so clocks stay right")
        kinds = KINDS
    kinds = [kind for kind in kinds if kind[0] in (options.only or [kind[0]])]
    if not kinds:
        raise SystemExit(f"there is no harm of the kind {', '.join(options.only)}")
    return kinds


def play(options: argparse.Namespace, home: Path, server: Server, proxy: Proxy) -> Round:
    seconds = options.minutes * 60
    title = f"Seed {options.seed}, {options.minutes:g} minutes of faults, {options.schedulers} schedulers, {os.cpu_count()} cores."
    one, load = Round(title), Load(seconds + 10, options.every, home / "notes")
    kinds = chosen(options)
    env = load.environ() | {
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__CORE__PARALLELISM": "6",
    }
    deployment = Deployment("slipstream", home, HERE / "dags", "postgres", env, api=False, roles=[], server=server, proxy=proxy)
    deployment.schedulers = options.schedulers
    if any(kind in kinds for kind in CLOCKS):
        deployment.clocks = Clocks(home / "clocks", compiler())
    with deployment, contextlib.ExitStack() as stack:
        deployment.sql(NARROW)
        for role in [*deployment.scheduler_roles(), PROCESSOR, TRIGGERER]:
            deployment.start_role(role)
        hand = ByHand(deployment)
        stack.callback(hand.close)
        if not wait(time.monotonic() + options.limit, lambda: len(deployment.sql("select distinct dag_id from serialized_dag")) == len(DAGS)
                    and deployment.sql("select 1 from slipstream_trigger"), deployment):
            raise TimeoutError(f"the Dags are not there; import errors: {deployment.sql('select filename, stacktrace from import_error')}")
        if (ready := hand.answer(options.limit)) != "ready":
            raise TimeoutError(f"manual runs cannot be made: {ready}")
        # Much of Airflow is imported by the first run only.
        if (made := hand.make("first")) != "made":
            raise RuntimeError(f"manual runs cannot be made: {made}")
        sender = Sender(deployment.ports(), options.seed, options.every / 5)
        sender.start()
        since = time.monotonic()
        say(since, "the load runs")
        limits = Limits(deployment, every=1)
        harm(deployment, plan(options.seed, seconds, kinds), one, limits, since)
        took = serves(deployment, hand, options.serve_within)
        say(since, f"the first manual run after the last fault succeeded after {'no time that we waited for' if took is None else f'{took:.1f} s'}")
        unconfirmed = sender.finish(options.limit)
        seen = {}

        def drained() -> bool:
            seen["facts"] = facts(deployment, load, sender, unconfirmed, limits)
            return not (oracle.stuck(seen["facts"]) or oracle.intervals(seen["facts"]) or oracle.events(seen["facts"]))

        wait(time.monotonic() + options.limit, drained, deployment)
        now = seen["facts"]
        say(since, "the load has ended")
        one.rows = {name: check(now) for name, check in oracle.CHECKS.items()}
        late = [] if took is not None and took <= options.serve_within else ["it did not serve" if took is None else f"it took {took:.1f} s"]
        one.rows[f"serves again within {options.serve_within:g} s after the last fault"] = late
        if {what for what, _ in kinds} == {"step"}:
            one.rows["nobody was taken for dead, and no try was lost"] = taken_for_dead(deployment, now)
        if one.failed():
            dump(deployment, home / "database.sql")
        hand.close()
        left = deployment.end(options.limit)
        one.rows["no process is left over"] = left
        one.rows["nothing of ours ended by itself or panicked"] = deployment.ended + deployment.panics()
        one.numbers = {
            "runs": len(now.runs), "tries": len(now.tries), "tries that did not succeed": sum(row[5] != "success" for row in now.tries),
            "events": len(now.sent), "requests with events that were not answered": sender.refusals,
            "seconds until a manual run succeeded": None if took is None else f"{took:.1f}",
            "started again after an exit of their own": ", ".join(f"{role}: {times}" for role, times in deployment.restarts.items()) or "none",
        }
    return one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long harm is done")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--schedulers", type=int, default=2, help="how many there are")
    parser.add_argument("--every", type=float, default=10, help="seconds between the runs of the densest Dag")
    parser.add_argument("--clocks", action=argparse.BooleanOptionalAction, default=True, help="whether clocks are put wrong, too")
    parser.add_argument("--only", action="append", metavar="WHAT", help="only this is done: kill, stop, term, down, end, stall, cut, step or jump")
    parser.add_argument("--serve-within", type=float, default=10, help="seconds until it must serve again")
    parser.add_argument("--limit", type=float, default=180, help="seconds to start, to end the load, and to stop")
    parser.add_argument("--report", type=Path, help="where to write the report as Markdown")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    processes.adopt_orphans()
    home = Path(tempfile.mkdtemp(prefix="slipstream-chaos-"))
    home.chmod(0o755)
    with contextlib.ExitStack() as stack:
        server = Server(home)
        stack.callback(server.stop, "immediate")
        if os.environ.get("PG_ADMIN_URL"):
            server.take_template(os.environ["PG_ADMIN_URL"])
        engines.PG_ADMIN_URL = server.url
        proxy = Proxy(server.port)
        stack.callback(proxy.close)
        one = play(options, home, server, proxy)
    return conclude(one, home, options.report)


if __name__ == "__main__":
    sys.exit(main())
