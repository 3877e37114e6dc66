"""`slipstream scheduler --shadow` beside a whole stock deployment: it finds no difference, and then the ones that are forged.

    python tests/shadow/shadow.py [postgres|sqlite]
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import engines  # noqa: E402

MANUAL = ["branching", "mapping", "trigger_rules", "setup_and_teardown", "producer", "sensing", "too_long", "failing_fast"]
TIMED = {"past": 5, "hours": 10, "newest": 1, "consumer": 1}
ROUNDS = 2
WINDOW = 60
"""Seconds that the stock scheduler may take: the machine may be busy."""
DIFFERS = 9
"""The exit code of a shadow that saw a difference."""


class Shadow:
    """One process, and what it reports."""

    def __init__(self, engine: engines.Engine, name: str, window: int) -> None:
        self.report = engine.home / f"{name}.jsonl"
        role = f"slipstream scheduler --shadow --shadow-json --shadow-window {window} --shadow-report {self.report}"
        self.process = engine.spawn(role, name)
        self.engine, self.name = engine, name
        until(self.report.exists, 60, "the shadow starts")

    def lines(self) -> list[dict]:
        text = self.report.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def differences(self) -> list[dict]:
        return [line for line in self.lines() if "summary" not in line]

    def end(self) -> tuple[int, dict]:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        del self.engine.procs[self.name]
        return code, self.lines()[-1]["summary"]


def until(holds, limit: float, what: str) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit} s: {what}")
        time.sleep(0.5)


def call(engine: engines.Engine, method: str, path: str, body: object) -> dict:
    """One call of the REST API; a stock deployment on SQLite may find its database locked."""
    for attempt in range(6):
        try:
            return engine.call(method, path, body)
        except urllib.error.HTTPError as error:
            if error.code != 500 or attempt == 5:
                raise
            time.sleep(1)
    raise AssertionError("not reached")


def write(engine: engines.Engine, statement: str) -> None:
    """Does what no scheduler would do."""
    if engine.db == "postgres":
        engine._psql(statement, engine.sqlalchemy_url().replace("+psycopg2", ""))
        return
    with contextlib.closing(sqlite3.connect(engine.home / "airflow.db", timeout=30)) as connection:
        connection.execute(statement.replace("now()", "strftime('%Y-%m-%d %H:%M:%f000', 'now')"))
        connection.commit()


def agrees(engine: engines.Engine) -> None:
    shadow = Shadow(engine, "shadow", WINDOW)
    for dag_id in [*MANUAL, *TIMED]:
        call(engine, "PATCH", f"/dags/{dag_id}", {"is_paused": False})
    for _ in range(ROUNDS):
        for dag_id in MANUAL:
            call(engine, "POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})
    expected = ROUNDS * len(MANUAL) + sum(TIMED.values())

    def ended() -> bool:
        states = dict(engine.sql("select state, count(*) from dag_run where dag_id <> 'gated' group by state"))
        return "running" not in states and "queued" not in states and sum(map(int, states.values())) >= expected

    until(ended, 600, f"{expected} runs end")
    call(engine, "PATCH", "/dags/newest", {"is_paused": True})
    # What is not explained becomes a difference only when the window has passed.
    time.sleep(WINDOW + 5)
    code, summary = shadow.end()
    print(f"  {summary}")
    for difference in shadow.differences():
        print(f"  DIFFERENCE {difference}")
    assert (code, shadow.differences()) == (0, []), f"exit code {code}"
    assert summary["runs"] >= expected and summary["agreed"] > 5 * expected, "too little was compared"


def finds_forgeries(engine: engines.Engine) -> None:
    call(engine, "PATCH", "/dags/gated", {"is_paused": False})
    run_id = call(engine, "POST", "/dags/gated/dagRuns", {"logical_date": None})["dag_run_id"]
    of_run = f"dag_id = 'gated' and run_id = '{run_id}'"
    running = f"select 1 from task_instance where {of_run} and task_id = 'wait' and state = 'running'"
    until(lambda: engine.sql(running), 120, "the gated run runs")
    shadow = Shadow(engine, "forged", 6)
    time.sleep(3)
    write(engine, f"update task_instance set state = 'skipped', updated_at = now() where {of_run} and task_id = 'forged'")
    until(lambda: any(one["task_id"] == "forged" for one in shadow.differences()), 60, "the forged state is found")
    write(engine, f"update dag_run set state = 'success', end_date = now() where {of_run}")
    until(lambda: any(one["task_id"] is None for one in shadow.differences()), 60, "the forged end of the run is found")
    code, _ = shadow.end()
    found = {(one["kind"], one["task_id"], one["theirs"]) for one in shadow.differences()}
    print(f"  {found}")
    assert code == DIFFERS, code
    assert found == {("unforeseen", "forged", "set it skipped"), ("unforeseen", None, "ended the run as success")}


def wrote_nothing(engine: engines.Engine) -> None:
    jobs = engine.sql("select count(*) from job where job_type = 'SchedulerJob'")
    assert jobs == [["1"]], "the shadow has a job"
    tables = "select table_name from information_schema.tables" if engine.db == "postgres" else "select name from sqlite_master"
    ours = [name for [name] in engine.sql(tables) if name and name.startswith("slipstream")]
    assert ours == [], ours


def main(db: str) -> None:
    home = Path(tempfile.mkdtemp(prefix="shadow-"))
    dags = home / "dags"
    shutil.copytree(HERE / "dags", dags)
    env = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600", "AIRFLOW__CORE__PARALLELISM": "4"}
    with engines.Engine("stock", home / "home", dags, db, env) as engine:
        want = len(MANUAL) + len(TIMED) + 1
        until(lambda: int(engine.sql("select count(*) from serialized_dag")[0][0]) >= want, 120, "all Dags are there")
        # Rows that the dag-processor wrote so lately are not held against the scheduler.
        time.sleep(12)
        print(f"shadow on {db}: beside a stock scheduler", flush=True)
        agrees(engine)
        print(f"shadow on {db}: forgeries", flush=True)
        finds_forgeries(engine)
        wrote_nothing(engine)
        (dags / "gate").touch()
    shutil.rmtree(home, ignore_errors=True)
    print(f"shadow on {db}: passed")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "postgres")
