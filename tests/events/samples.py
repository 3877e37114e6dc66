"""The event Dags of ``dags/``, from their first event to their final state, in one deployment with a real worker.

Usage: ``python tests/events/samples.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a run does not end in time or did something else than its description says.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

import engines  # noqa: E402
from tasks import wait_for  # noqa: E402

LIMIT = 180.0
STARTED = [
    "event_quickstart",
    "event_announce",
    "event_custom_condition",
    "event_periodic_task",
    "event_online_learning",
    "event_status_stop",
]


class Seen:
    """What the database says of the runs."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine

    def tries(self, dag: str, task: str) -> int:
        """Return how often a task was executed, over all runs of its Dag."""
        now = self.engine.sql(
            f"SELECT coalesce(sum(try_number), 0) FROM task_instance WHERE dag_id = '{dag}' AND task_id = '{task}'"
        )
        return int(now[0][0])

    def states(self, dag: str) -> dict[str, str]:
        """Return the state of every task of a Dag's only run."""
        return dict(self.engine.sql(f"SELECT task_id, state FROM task_instance WHERE dag_id = '{dag}'"))


def expect(what: str, found: object, wanted: object) -> None:
    """Say what is not as it should be."""
    if found != wanted:
        raise SystemExit(f"{what}: expected {wanted!r}, found {found!r}")


def play(engine: engines.Engine) -> None:
    """Start everything, wait for all ends, look."""
    engine.wait_dags([*STARTED, "event_report"])
    report = "SELECT count(*) FROM slipstream_trigger WHERE dag_id = 'event_report' AND status = 'active'"
    wait_for("the trigger on a Dag is known", lambda: engine.sql(report) == [["1"]])
    runs = {dag: engine.trigger(dag) for dag in STARTED}
    for dag, run in runs.items():
        expect(f"the run of {dag}", engine.wait_runs(dag, [run], limit=LIMIT), {run: "success"})
    seen = Seen(engine)

    expect("greeting", seen.tries("event_quickstart", "welcome"), 1)

    reports = engine.sql("SELECT run_id FROM dag_run WHERE dag_id = 'event_report'")
    expect("one report for one announcement", len(reports), 1)
    run = reports[0][0]
    expect("the report", engine.wait_runs("event_report", [run], limit=LIMIT), {run: "success"})

    expect("one consumer", seen.tries("event_custom_condition", "consume"), 1)
    expect("all ended well", set(seen.states("event_custom_condition").values()), {"success"})

    reported = seen.tries("event_periodic_task", "report")
    expect("three reports or more", reported >= 3, True)

    expect("three trainings", seen.tries("event_online_learning", "train"), 3)
    expect("three deployments", seen.tries("event_online_learning", "deploy"), 3)

    expect("the sidecar is stopped", seen.states("event_status_stop")["sidecar"], "success")

    twice = engine.sql(
        "SELECT count(*) - count(DISTINCT (trigger_id || '/' || scope_run_id || '/' || correlation || '/' || position)) "
        "FROM slipstream_firing"
    )
    expect("firings of one trigger at one event", int(twice[0][0]), 0)


def main() -> None:
    """Run on one database."""
    db = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    with tempfile.TemporaryDirectory() as folder:
        engine = engines.Engine(
            "slipstream",
            Path(folder) / "home",
            HERE.parents[1] / "dags",
            db=db,
            env={"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False"},
        )
        with engine:
            engine.wait_api()
            play(engine)
    print(f"event samples, {db}: ok")


if __name__ == "__main__":
    main()
