"""``by_data``: tasks start when their inlets are new, inside a run and across Dags, with a real scheduler and worker.

Usage: ``python tests/events/data.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a state is not reached in time.
"""

from __future__ import annotations

import json
from pathlib import Path

from tasks import Deployment, on_one_database, wait_for

HERE = Path(__file__).resolve().parent

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


def mapped(test: Deployment) -> None:
    """What reads the output of a mapped task waits for all of its copies, and runs once."""
    test.send("mapped")
    wait_for("the run of mapped ends", lambda: ended(test, "mapped"))
    assert told(test, "whole") == [[["mapped.part", "success"]]], told(test, "whole")
    assert tries(test, "whole") == 1
    begin = "SELECT start_date FROM task_instance WHERE task_id = 'whole'"
    late = f"SELECT count(*) FROM task_instance WHERE task_id = 'part' AND end_date > ({begin})"
    assert test.number(late) == 0, "it did not wait for all copies"


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
    """All, one after the other."""
    wait_for("all triggers are known", lambda: test.triggers() == 8)
    watched = "SELECT count(*) FROM slipstream_cursor WHERE name = 'observed_assets'"
    wait_for("updates of assets are looked for", lambda: test.number(watched) == 1)
    inside(test)
    mapped(test)
    across(test)
    assert test.number("SELECT count(*) FROM slipstream_dead_letter") == 0


if __name__ == "__main__":
    on_one_database("tasks that start by data", HERE / "data_dags", play)
