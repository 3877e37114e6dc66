"""Whether a week's worth of runs leaves the scheduler's memory as it was, on PostgreSQL.

Hourly Dags with catchup and a start date a week ago are let go at once, and the scheduler, its worker and the
dag-processor are weighed (proportional set size) while the week passes. Most Dags have empty tasks, which the scheduler
ends by itself; one in twenty has a real task. Caches fill in the first third (Dags, statements of the database): what must not
grow is the second half.

    python benches/growth/week.py                    # 200 Dags: 33,600 runs
    python benches/growth/week.py --dags 40 --days 7
    python benches/growth/week.py --report week.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "conformance"), str(HERE.parent / "airflow")]
from bench import BenchEngine, pss_mib, tree  # noqa: E402

REAL_EVERY = 20
DAG = """
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def work():
    pass


with DAG("{name}", schedule="0 * * * *", start_date=datetime({start}), end_date=datetime({end}), catchup=True,
         max_active_runs=16) as dag:
    {first} >> EmptyOperator(task_id="b") >> EmptyOperator(task_id="c")
"""
EMPTY, REAL = 'EmptyOperator(task_id="a")', 'PythonOperator(task_id="a", python_callable=work)'


def write_dags(folder: Path, dags: int, days: int) -> int:
    """Write the Dag files; return how many runs they will have."""
    folder.mkdir(parents=True)
    end = datetime.now(tz=timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    moment = lambda at: f"{at.year}, {at.month}, {at.day}, {at.hour}"  # noqa: E731
    for number in range(dags):
        text = DAG.format(name=f"week{number}", start=moment(end - timedelta(days=days)), end=moment(end - timedelta(hours=1)),
                          first=EMPTY if number % REAL_EVERY else REAL)
        (folder / f"week{number}.py").write_text(text)
    return dags * days * 24


def processes(engine: BenchEngine) -> dict[str, int]:
    """Return the process of each role, the worker among them."""
    found = {"scheduler": engine.pid("scheduler"), "dag-processor": engine.pid("dag-processor")}
    for pid in tree(found["scheduler"]):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # A task that has ended meanwhile.
            continue
        if command[0] == os.environb[b"SLIPSTREAM_BIN"] and command[1:2] == [b"worker"]:
            found["worker"] = pid
    return found


def watch(engine: BenchEngine, runs: int, limit: float) -> list[tuple[float, dict[str, float]]]:
    """Weigh everything until the week is over; return (part of the runs that are done, MiB of each process) in turn."""
    samples, deadline, said = [], time.time() + limit, 0.0
    while True:
        ended, failed = map(int, engine.sql("select count(end_date), count(*) filter (where state = 'failed') from dag_run")[0])
        if failed:
            sys.exit(f"{failed} runs failed")
        done = ended / runs
        samples.append((done, {kind: pss_mib(pid) for kind, pid in processes(engine).items()}))
        if time.time() > said + 15:
            said = time.time()
            print(f"{done:5.0%}  " + "  ".join(f"{kind} {mib:.1f}" for kind, mib in samples[-1][1].items()), flush=True)
        if done >= 1:
            return samples
        if time.time() > deadline:
            sys.exit(f"only {done:.0%} of the runs have ended in {limit:.0f} s")
        time.sleep(0.5)


def median(samples: list[tuple[float, dict[str, float]]], kind: str, low: float, high: float) -> float:
    """Return the median of a process's memory between two parts of the week."""
    seen = [mib[kind] for done, mib in samples if low <= done <= high and kind in mib]
    return statistics.median(seen) if seen else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dags", type=int, default=200)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which it is given up")
    parser.add_argument("--grown", type=float, default=1.05, help="most by which the last tenth may exceed the middle")
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipstream-week-") as folder:
        dags = Path(folder) / "dags"
        runs = write_dags(dags, args.dags, args.days)
        settings = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
        with BenchEngine("slipstream", Path(folder), dags, "postgres", settings, api=False) as engine:
            engine.wait_serialised(args.dags)
            began = engine.unpause()
            samples = watch(engine, runs, args.limit)
            took = time.time() - began
            time.sleep(20)
            rest = {kind: pss_mib(pid) for kind, pid in processes(engine).items()}
    lines = [f"{runs:,} runs of {args.dags} Dags in {took:.0f} s", "",
             "| process | 10 to 20 % | 45 to 55 % | 90 to 100 % | 20 s later | last ÷ middle |", "| --- | --- | --- | --- | --- | --- |"]
    grown = []
    for kind in ("scheduler", "worker", "dag-processor"):
        first, middle, last = (median(samples, kind, *part) for part in ((0.1, 0.2), (0.45, 0.55), (0.9, 1)))
        lines.append(f"| {kind} | {first:.1f} MiB | {middle:.1f} MiB | {last:.1f} MiB | {rest.get(kind, 0):.1f} MiB | {last / middle:.2f} |")
        if not last <= middle * args.grown:
            grown.append(kind)
    print("\n".join(lines))
    if args.report:
        args.report.write_text("\n".join(lines) + "\n")
    if grown:
        sys.exit(f"memory has grown: {', '.join(grown)}")


if __name__ == "__main__":
    main()
