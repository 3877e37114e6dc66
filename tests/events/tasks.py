"""Events and tasks from end to end: a real scheduler with its engine, a real worker, a real Dag file, events from the CLI.

Usage: ``python tests/events/tasks.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a state is not reached in time.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import engines  # noqa: E402

LIMIT = 90.0


def wait_for(what: str, holds) -> None:
    """Wait until ``holds()`` is true."""
    end = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"not within {LIMIT:.0f} s: {what}")
        time.sleep(0.1)


class Deployment:
    """One deployment and what the test asks of it."""

    def __init__(self, engine: engines.Engine, out: Path) -> None:
        self.engine = engine
        self.out = out

    def send(self, event_type: str, data: object = None) -> None:
        """Send an event."""
        command = [engines.SLIPSTREAM_BIN, "events", "send", event_type, json.dumps(data)]
        subprocess.run(command, env=self.engine.environ(), check=True, stdout=subprocess.DEVNULL)

    def state(self, task: str) -> str | None:
        """Return the state of a task of the only run."""
        rows = self.engine.sql(f"SELECT state FROM task_instance WHERE task_id = '{task}'")
        return rows[0][0] or None if rows else None

    def number(self, query: str) -> int:
        """Return the one number that a query gives."""
        return int(self.engine.sql(query)[0][0])

    def triggers(self) -> int:
        """Return how many triggers are active; none while the scheduler has not made its tables."""
        try:
            return self.number("SELECT count(*) FROM slipstream_trigger WHERE status = 'active'")
        except (sqlite3.OperationalError, subprocess.CalledProcessError):
            return 0

    def until(self, task: str, state: str) -> None:
        """Wait until a task is in a state."""
        wait_for(f"{task} is {state}, it is {self.state(task)}", lambda: self.state(task) == state)


def play(test: Deployment) -> None:
    """From the first event to the end of the run."""
    wait_for("all triggers are known", lambda: test.triggers() == 7)
    test.send("begin")
    test.until("ingest", "running")
    test.until("serve", "running")
    test.until("follow", "success")
    assert test.state("train") is None, "the gate is closed"

    test.send("model.published", {"version": 2})
    wait_for(
        "serve runs again",
        lambda: test.engine.sql("SELECT state, try_number FROM task_instance WHERE task_id = 'serve'")
        == [["running", "2"]],
    )
    assert test.number("SELECT count(*) FROM task_instance_history WHERE task_id = 'serve'") == 1

    test.send("batch.prepared", {"shard": 3})
    test.until("train", "success")
    told = json.loads((test.out / "told").read_text())
    assert [event["data"] for event in told] == [{"shard": 3}], told
    test.until("ingest", "success")
    test.until("serve", "skipped")
    wait_for("the run ends", lambda: test.engine.sql("SELECT state FROM dag_run") == [["success"]])
    assert test.state("alarm") == "skipped", test.state("alarm")
    assert test.number("SELECT try_number FROM task_instance WHERE task_id = 'ingest'") == 1, "no retry after a stop"
    killed = sorted((test.out / "killed").read_text().split())
    assert killed == ["ingest", "serve", "serve"], f"each process was told to end: {killed}"
    left = "SELECT count(*) FROM slipstream_command WHERE status NOT IN ('done', 'dropped')"
    assert test.number(left) == 0
    firings = "SELECT count(DISTINCT id) FROM slipstream_firing WHERE status = 'done'"
    assert test.number(firings) == 6, test.number(firings)


def on_one_database(what: str, dags: Path, play) -> None:
    """Play on a deployment of its own, on the database that the command line names."""
    db = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        engine = engines.Engine(
            "slipstream",
            Path(folder) / "home",
            dags,
            db=db,
            api=False,
            roles=["slipstream scheduler", "slipstream dag-processor"],
            env={"EVENTS_TEST_OUT": str(out), "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False"},
        )
        with engine:
            play(Deployment(engine, out))
    print(f"{what}, {db}: ok")


if __name__ == "__main__":
    on_one_database("events on tasks", HERE / "dags", play)
