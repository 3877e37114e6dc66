#!/usr/bin/env python3
"""Runs the conformance suite and fails on every difference that is not a known one.

    check.py --engine slipstream --db postgres [--db sqlite] [--choice DB] [--cases GLOBS] [--out FOLDER]

``known.json`` lists the cases that are known to differ, each with its reason: they run all the same, and one that passes now
is reported so that it can be struck from the list. ``--choice DB`` takes on that database only the cases of
``sqlite-choice.txt``, because SQLite lets few cases run side by side. The databases are gone through at the same time: most of
what a case does is to wait. The last line counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent


def known(engine: str, db: str) -> dict[str, str]:
    """Case -> why it differs, for this engine and database."""
    found = {}
    for entry in json.loads((HERE / "known.json").read_text()):
        if engine in entry.get("engines", [engine]) and db in entry.get("db", [db]):
            found[entry["case"]] = entry["why"]
    return found


def run(engine: str, db: str, cases: str | None, out: Path) -> dict[str, dict]:
    """Runs one engine on one database; returns the results by case, none if the suite did not come to its end."""
    report = out / f"conformance-{engine}-{db}.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "conformance.py"), "run", "--engine", engine, "--db", db]
    command += ["--report", str(report), "--again", "1"] + (["--cases", cases] if cases else [])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as suite:
        for line in suite.stdout or ():
            print(f"{db}: {line}", end="", flush=True)
    return json.loads(report.read_text())["cases"] if report.exists() else {}


def judge(engine: str, db: str, results: dict[str, dict], count: Counter) -> list[str]:
    """Counts the results; returns what is wrong, in words."""
    if not results:
        count["failed"] += 1
        return [f"{engine} on {db}: the suite did not come to its end"]
    excused = known(engine, db)
    wrong = []
    for case, result in sorted(results.items()):
        kind = "passed" if result["ok"] else "known to differ" if case in excused else "failed"
        count[kind] += 1
        if result["ok"] and case in excused:
            print(f"# {case} passes now on {db}: strike it from known.json")
        if kind == "failed":
            wrong.append(f"{engine} on {db}: {case}: {result['differences'][:1]}")
    return wrong


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--engine", action="append", required=True)
    ap.add_argument("--db", action="append", required=True)
    ap.add_argument("--choice", metavar="DB")
    ap.add_argument("--cases")
    ap.add_argument("--out", type=Path, default=HERE.parents[1] / "target")
    opt = ap.parse_args()
    opt.out.mkdir(parents=True, exist_ok=True)
    choice = ",".join((HERE / "sqlite-choice.txt").read_text().split())
    count: Counter = Counter()
    wrong = []
    for engine in opt.engine:
        with ThreadPoolExecutor(len(opt.db)) as pool:
            suites = {
                db: pool.submit(run, engine, db, opt.cases or (choice if db == opt.choice else None), opt.out)
                for db in opt.db
            }
        for db, suite in suites.items():
            wrong += judge(engine, db, suite.result(), count)
    for line in wrong:
        print(f"UNEXPECTED {line}")
    print(f"conformance: {count['passed']} passed, {count['failed']} failed, {count['known to differ']} known to differ")
    return 1 if wrong or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
