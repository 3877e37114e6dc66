"""How the scheduler's cost grows with Dags, with the tasks of one run, and with history, on PostgreSQL.

Each point has a fresh database, one ``slipstream scheduler`` and no other process: Dags are written straight into the
database, and their tasks are empty operators, which the scheduler ends by itself. Measured are rounds of the loop
(``scheduler.scheduler_loop_duration``, sent to this program as StatsD would get it), statements on the wire, and memory.

    python benches/growth/growth.py                                  # all curves, about 25 minutes
    python benches/growth/growth.py --axis history --points 1,1000000
    python benches/growth/growth.py --axis history --points 1000000 --explain   # which statements scan a whole table
    python benches/growth/growth.py --plot target/growth.json --images docs/images

At every point the scheduler is left alone for half a minute, rests for 10 s, then gets one run of a ten-task Dag per
second for 20 s. On the axis ``tasks`` it gets one run of a Dag of so many tasks in place of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "conformance"), str(HERE.parent / "airflow")]
import psycopg2  # noqa: E402
from bench import BenchEngine, pct, pss_mib, tree  # noqa: E402

AXES = {
    "dags": [10, 100, 1000, 10000],
    "tasks": [100, 1000, 10000, 50000],
    "history": [1, 1000, 100000, 1000000],
}
REST, RUNS = 10, 20
LIVELY = 33
"""After tasks the scheduler looks for new runs more often for 30 s; rest begins then."""
SCAN = 5000
"""A statement is named by ``--explain`` when it read at least so many rows that it did not want, or scanned so many."""


class Metrics:
    """Stands in for a StatsD server; keeps the loop's durations in milliseconds."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.rounds: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            for line in self.socket.recv(65536).decode(errors="replace").splitlines():
                if found := re.match(r"\w+\.scheduler\.scheduler_loop_duration[^:]*:([\d.]+)\|ms", line):
                    self.rounds.append(float(found[1]))

    def take(self) -> list[float]:
        taken, self.rounds = self.rounds, []
        return taken


def add_dags(cursor, names: list[str], tasks: int, schedule: bool) -> None:
    """Active Dags of so many empty tasks in layers of ten; with a schedule, due next in a year."""
    cursor.execute("insert into dag_bundle (name, active) values ('dags-folder', true) on conflict do nothing")
    layer = lambda n: n // 10  # noqa: E731
    below = lambda n: [f"t{m}" for m in range((layer(n) + 1) * 10, min((layer(n) + 2) * 10, tasks))] if tasks <= 100 else []  # noqa: E731
    encoded = [{"__type": "operator", "__var": {"task_id": f"t{n}", "task_type": "EmptyOperator", "_is_empty": True,
                                                "downstream_task_ids": below(n)}} for n in range(tasks)]
    timetable = {"__type": "airflow.timetables.simple.NullTimetable", "__var": {}}
    for name in names:
        cursor.execute(
            "insert into dag (dag_id, is_paused, is_stale, fileloc, relative_fileloc, bundle_name, owners, timetable_type,"
            " partition_mapper_info, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,"
            " has_task_concurrency_limits, has_import_errors, exceeds_max_non_backfill, next_dagrun_create_after)"
            " values (%s, false, false, %s, %s, 'dags-folder', 'airflow', 'airflow.timetables.simple.NullTimetable',"
            " '{}', 1000, 1000, 0, false, false, false, %s)",
            (name, f"{name}.py", f"{name}.py", "2100-01-01" if schedule else None))
        version = str(uuid.uuid4())
        cursor.execute("insert into dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)"
                       " values (%s, 1, %s, 'dags-folder', now(), now())", (version, name))
        dag = {"dag_id": name, "timezone": "UTC", "timetable": timetable, "max_active_runs": 1000, "tasks": encoded}
        cursor.execute("insert into serialized_dag (id, dag_id, data, created_at, last_updated, dag_hash, dag_version_id)"
                       " values (%s, %s, %s, now(), now(), '0', %s)",
                       (str(uuid.uuid4()), name, json.dumps({"__version": 3, "dag": dag}), version))


def add_history(cursor, tis: int) -> None:
    """Finished runs of ten finished tasks each, of the Dag ``work`` and of a hundred others."""
    cursor.execute(
        "insert into dag_run (dag_id, run_id, logical_date, start_date, end_date, run_after, state, run_type, conf,"
        " clear_number, created_at, updated_at, created_dag_version_id)"
        " select 'dag' || (n %% 10), 'old' || n, now() - n * interval '1 minute', now(), now(),"
        " now() - n * interval '1 minute', 'success', 'scheduled', '{}', 0, now(), now(),"
        " (select id from dag_version where dag_id = 'dag' || (n %% 10)) from generate_series(1, %s) n", (-(-tis // 10),))
    cursor.execute(
        "insert into task_instance (id, dag_id, run_id, task_id, map_index, state, try_number, max_tries, pool, pool_slots,"
        " queue, priority_weight, operator, start_date, end_date, updated_at, dag_version_id) select gen_random_uuid(),"
        " dag_id, run_id, 't' || t, -1, 'success', 1, 0, 'default_pool', 1, 'default', 1, 'EmptyOperator', now(), now(), now(),"
        " created_dag_version_id from dag_run, generate_series(0, 9) t where run_id like 'old%%' limit %s", (tis,))


def add_run(cursor, dag: str, tasks: int) -> None:
    """One queued run with its task instances, as the API server makes it."""
    run = f"manual__{uuid.uuid4()}"
    # Together: a run without its rows is one whose Dag has changed, and the scheduler would make them as well.
    cursor.execute("begin")
    cursor.execute(
        "insert into dag_run (dag_id, run_id, logical_date, run_after, state, run_type, conf, clear_number, created_at,"
        " updated_at, queued_at, created_dag_version_id) values (%s, %s, now(), now(), 'queued', 'manual', '{}', 0, now(), now(),"
        " now(), (select id from dag_version where dag_id = %s))", (dag, run, dag))
    cursor.execute(
        "insert into task_instance (id, dag_id, run_id, task_id, map_index, try_number, max_tries, pool, pool_slots, queue,"
        " priority_weight, operator, updated_at, dag_version_id) select gen_random_uuid(), %s, %s, 't' || t, -1, 0, 0,"
        " 'default_pool', 1, 'default', 1, 'EmptyOperator', now(), (select id from dag_version where dag_id = %s)"
        " from generate_series(0, %s) t", (dag, run, dag, tasks - 1))
    cursor.execute("commit")


def point(axis: str, size: int, explain: bool) -> dict:
    """Measure one point."""
    metrics = Metrics()
    with tempfile.TemporaryDirectory(prefix="slipstream-growth-") as folder:
        (Path(folder) / "dags").mkdir()
        env = {"AIRFLOW__METRICS__STATSD_ON": "True", "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
               "AIRFLOW__METRICS__STATSD_PORT": str(metrics.port)}
        with BenchEngine("slipstream", Path(folder), Path(folder) / "dags", "postgres", env, api=False, roles=[],
                         want_tap=True) as engine:
            connection = psycopg2.connect(engine.sqlalchemy_url().replace("+psycopg2", ""))
            connection.autocommit = True
            cursor = connection.cursor()
            add_dags(cursor, [f"dag{n}" for n in range(size if axis == "dags" else 10)], 10, schedule=True)
            tasks = size if axis == "tasks" else 10
            add_dags(cursor, ["work"], tasks, schedule=False)
            if axis == "history":
                add_history(cursor, size)
            cursor.execute("analyze")
            if explain:
                for setting in ("session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0",
                                "auto_explain.log_analyze = on", "auto_explain.log_format = json"):
                    cursor.execute(f'alter database "{engine.pg_name}" set {setting}')
            process = engine.spawn("slipstream scheduler")
            tap = engine.taps["slipstream scheduler"]
            result = measure(cursor, process.pid, tap, metrics, tasks, single=axis == "tasks")
    return {"axis": axis, "size": size, **result}


def measure(cursor, pid: int, tap, metrics: Metrics, tasks: int, single: bool) -> dict:
    """Rest, then work; return what was seen."""
    deadline = time.time() + 60
    while not metrics.rounds and time.time() < deadline:
        time.sleep(0.1)
    time.sleep(LIVELY)
    metrics.take()
    before, began = tap.n["statements"], time.time()
    time.sleep(REST)
    rest = (tap.n["statements"] - before) / (time.time() - began)
    idle = metrics.take()
    before, peak, started = tap.n["statements"], 0.0, time.time()
    for number in range(1 if single else RUNS):
        add_run(cursor, "work", tasks)
        time.sleep(max(0.0, started + number + 1 - time.time()))
        peak = max(peak, pss_mib(pid))
    finished = 0
    while time.time() < started + 300:
        peak = max(peak, pss_mib(pid))
        cursor.execute("select count(*), count(*) filter (where state = 'success') from dag_run where dag_id = 'work' and"
                       " run_id like 'manual%'")
        total, finished = cursor.fetchone()
        if total == finished:
            break
        time.sleep(0.2)
    took = time.time() - started
    rounds = metrics.take()
    if not idle or not rounds:
        sys.exit("the scheduler sent no scheduler.scheduler_loop_duration")
    runs = 1 if single else RUNS
    return {
        "rest_p50_ms": pct(idle, 0.5), "rest_p99_ms": pct(idle, 0.99), "rest_statements_per_s": rest,
        "round_p50_ms": pct(rounds, 0.5), "round_p99_ms": pct(rounds, 0.99), "round_max_ms": max(rounds),
        "statements_per_run": (tap.n["statements"] - before - (0 if single else rest * took)) / runs, "pss_mib": peak, "seconds": took,
        "unfinished": runs - finished, "processes": len(tree(pid)),
    }


def server_log() -> Path:
    """Return the server's log: ``PG_LOG``, or where ``tests/support/with_postgres.sh`` puts it."""
    connection = psycopg2.connect(os.environ["PG_ADMIN_URL"])
    with connection.cursor() as cursor:
        cursor.execute("show data_directory")
        log = Path(os.environ.get("PG_LOG", Path(cursor.fetchone()[0]).parent / "log"))
    return log if log.exists() else sys.exit(f"{log} is not there: set PG_LOG to the path of the server's log")


def scans(log: Path) -> list[str]:
    """Name the statements of auto_explain's log whose plan reads many rows of a table for nothing."""
    found: dict[str, tuple[int, str]] = {}
    text = log.read_text(errors="replace")
    for match in re.finditer(r"plan:\n\t(\{.*?\n\t\})", text, re.S):
        plan = json.loads(match[1].replace("\n\t", "\n"))
        stack = [plan["Plan"]]
        while stack:
            node = stack.pop()
            stack += node.get("Plans", [])
            read = (node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)) * node.get("Actual Loops", 1)
            wasted = node.get("Rows Removed by Filter", 0) * node.get("Actual Loops", 1)
            if ("Seq Scan" in node["Node Type"] and read >= SCAN) or wasted >= SCAN:
                key = " ".join(plan["Query Text"].split())[:300]
                what = f"{node['Node Type']} on {node.get('Relation Name')}: {read:.0f} rows"
                times, _ = found.get(key, (0, ""))
                found[key] = (times + 1, what)
    return [f"{times} x {what}\n    {query}" for query, (times, what) in sorted(found.items(), key=lambda it: -it[1][0])]


def plot(points: list[dict], images: Path) -> None:
    """Draw each axis as one SVG: loop rounds, statements and memory over the size, both scales logarithmic."""
    images.mkdir(parents=True, exist_ok=True)
    lines = [("round_p50_ms", "round p50, ms", "#1f77b4"), ("round_p99_ms", "round p99, ms", "#d62728"),
             ("statements_per_run", "statements per run", "#2ca02c"), ("pss_mib", "memory, MiB", "#9467bd"),
             ("rest_statements_per_s", "statements per s at rest", "#8c564b")]
    titles = {"dags": "Dags", "tasks": "task instances in one run", "history": "finished task instances"}
    from math import log10

    for axis, title in titles.items():
        rows = sorted((p for p in points if p["axis"] == axis), key=lambda p: p["size"])
        if len(rows) < 2:
            continue
        low, high = log10(rows[0]["size"]), log10(rows[-1]["size"])
        x = lambda size: 60 + 420 * (log10(size) - low) / (high - low)  # noqa: E731
        y = lambda value: 300 - 65 * (log10(max(value, 0.1)) + 1)  # noqa: E731
        out = ['<svg xmlns="http://www.w3.org/2000/svg" width="680" height="350" font-family="sans-serif" font-size="12">',
               '<rect width="680" height="350" fill="white"/>']
        for power in range(-1, 4):
            out.append(f'<path d="M60 {y(10**power):.0f}H480" stroke="#ddd"/><text x="52" y="{y(10**power) + 4:.0f}"'
                       f' text-anchor="end">{10**power:g}</text>')
        for row in rows:
            out.append(f'<text x="{x(row["size"]):.0f}" y="322" text-anchor="middle">{row["size"]:,}</text>')
        out.append(f'<text x="270" y="342" text-anchor="middle">{title}</text>')
        for number, (key, label, colour) in enumerate(lines):
            path = " ".join(f'{x(row["size"]):.1f},{y(row[key]):.1f}' for row in rows)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            out.append(f'<text x="495" y="{40 + 20 * number}" fill="{colour}">{label}</text>')
        (images / f"growth-{axis}.svg").write_text("\n".join([*out, "</svg>"]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axis", action="append", choices=AXES)
    parser.add_argument("--points", help="sizes, instead of the usual ones of the axis")
    parser.add_argument("--explain", action="store_true", help="name the statements that scan (reads the server's log)")
    parser.add_argument("--out", type=Path, default=Path("target/growth.json"))
    parser.add_argument("--plot", type=Path, help="draw a saved file and leave")
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    args = parser.parse_args()
    if args.plot:
        plot(json.loads(args.plot.read_text()), args.images)
        return
    points = []
    for axis in args.axis or AXES:
        for size in map(int, args.points.split(",")) if args.points else AXES[axis]:
            points.append(point(axis, size, args.explain))
            shown = {k: round(v, 1) if isinstance(v, float) else v for k, v in points[-1].items()}
            print(json.dumps(shown), flush=True)
            args.out.write_text(json.dumps(points, indent=1) + "\n")
    if args.explain:
        print("\n".join(scans(server_log())) or "no statement scans a table")


if __name__ == "__main__":
    main()
