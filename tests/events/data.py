"""``by_data``: tasks start when their inlets are new, inside a run and across Dags, with a real scheduler and worker.

Usage: ``python tests/events/data.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a state is not reached in time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import engines  # noqa: E402
from tasks import Deployment, wait_for  # noqa: E402

ACROSS = ["test://across/", None]


def told(test: Deployment, task: str) -> list:
    """Return what each execution of a task was told, in their order."""
    return [json.loads(line) for line in (test.out / task).read_text().splitlines()]


def tries(test: Deployment, task: str) -> int:
    """Return how many executions a task has had, if the last one ended well."""
    return test.number(
        f"SELECT coalesce(sum(try_number), 0) FROM task_instance WHERE task_id = '{task}' AND state = 'success'"
    )


def ended(test: Deployment, dag: str) -> bool:
    """Return whether all runs of a Dag ended well, and there is one."""
    return test.engine.sql(f"SELECT DISTINCT state FROM dag_run WHERE dag_id = '{dag}'") == [["success"]]


def inside(test: Deployment) -> None:
    """Two tasks of a run make what the third one reads; no arrow joins them."""
    test.send("inside")
    wait_for("the run of inside ends", lambda: ended(test, "inside"))
    ((one, other),) = told(test, "join")
    assert sorted([one, other]) == [["inside.left", "success"], ["inside.right", "success"]], (one, other)
    assert tries(test, "join") == 1


def across(test: Deployment) -> None:
    """Each update by another Dag is an execution of the reader."""
    test.send("read")
    wait_for("the reader's run is there", lambda: test.number("SELECT count(*) FROM dag_run WHERE dag_id = 'reader'") == 1)
    for number in (1, 2):
        test.send("write")
        wait_for(f"reading number {number}", lambda number=number: tries(test, "read") == number)
    assert told(test, "read") == [[ACROSS], [ACROSS]], told(test, "read")
    assert not ended(test, "reader"), "the other gate keeps the run"
    test.send("close")
    wait_for("the reader's run ends", lambda: ended(test, "reader"))
    wait_for("the writer's runs end", lambda: ended(test, "writer"))


def play(test: Deployment) -> None:
    """Both, one after the other."""
    wait_for("all triggers are known", lambda: test.triggers() == 6)
    watched = "SELECT count(*) FROM slipstream_cursor WHERE name = 'observed_assets'"
    wait_for("updates of assets are looked for", lambda: test.number(watched) == 1)
    inside(test)
    across(test)
    assert test.number("SELECT count(*) FROM slipstream_dead_letter") == 0


def main() -> None:
    """Run on one database."""
    db = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        engine = engines.Engine(
            "slipstream",
            Path(folder) / "home",
            HERE / "data_dags",
            db=db,
            api=False,
            roles=["slipstream scheduler", "slipstream dag-processor"],
            env={"EVENTS_TEST_OUT": str(out), "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False"},
        )
        with engine:
            play(Deployment(engine, out))
    print(f"tasks that start by data, {db}: ok")


if __name__ == "__main__":
    main()
