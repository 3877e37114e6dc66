"""Clocks in runs that events make, with a real scheduler and worker.

Usage: ``python tests/events/clocks.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a state is not reached in time.
"""

from __future__ import annotations

from pathlib import Path

from tasks import Deployment, on_one_database, wait_for

HERE = Path(__file__).resolve().parent


def tries(test: Deployment, task: str) -> int:
    """Return how many executions a task has had."""
    return test.number(f"SELECT coalesce(sum(try_number), 0) FROM task_instance WHERE task_id = '{task}'")


def ended(test: Deployment, dag: str) -> bool:
    """Return whether the run of a Dag ended well."""
    return test.engine.sql(f"SELECT state FROM dag_run WHERE dag_id = '{dag}'") == [["success"]]


def play(test: Deployment) -> None:
    """Two runs by events, until both are told that it is enough."""
    wait_for("all triggers are known", lambda: test.triggers() == 7)
    test.send("ticking")
    test.send("early")
    wait_for("the clock has ticked twice", lambda: tries(test, "tick") >= 2)
    test.until("alarm", "success")
    test.until("always", "success")
    test.send("enough")
    for dag in ("ticking", "early"):
        wait_for(f"the run of {dag} ends", lambda dag=dag: ended(test, dag))
    assert test.state("never") == "skipped", test.state("never")
    assert tries(test, "alarm") == 1
    assert test.number("SELECT count(*) FROM slipstream_dead_letter") == 0


if __name__ == "__main__":
    on_one_database("clocks in runs that events make", HERE / "clock_dags", play)
