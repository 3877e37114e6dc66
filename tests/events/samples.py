"""The event Dags of ``dags/``, from their first event to their final state, in one deployment with a real worker.

Usage: ``python tests/events/samples.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is missing when a run does not end in time or did something else than its description says.
"""

from __future__ import annotations

import json
import subprocess
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
    "event_python_condition",
]
BY_EVENTS = ["event_report", "event_three_shards", "event_stop_report"]


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


def send(engine: engines.Engine, key: str, data: object = None) -> None:
    """Send an event from outside."""
    command = [engines.SLIPSTREAM_BIN, "events", "send", key, json.dumps(data)]
    subprocess.run(command, env=engine.environ(), check=True, stdout=subprocess.DEVNULL)


def serving(engine: engines.Engine, tries: int) -> bool:
    """Return whether the streaming job runs, for so many times now."""
    now = "SELECT count(*) FROM task_instance WHERE dag_id = 'event_new_model' AND task_id = 'serve' AND state = 'running'"
    return engine.sql(f"{now} AND try_number = {tries}") == [["1"]]


def restart_on_a_new_model(engine: engines.Engine, seen: Seen) -> None:
    """docs/howto/streaming-restart.md."""
    run = engine.trigger("event_new_model")
    for version in (1, 2, 3):
        wait_for(f"model {version} is served", lambda version=version: serving(engine, version))
        send(engine, "model.published" if version < 3 else "serving.stop", {"version": version})
    expect("serving ends", engine.wait_runs("event_new_model", [run], limit=LIMIT), {run: "success"})
    expect("one execution for each model", seen.tries("event_new_model", "serve"), 3)


def wait_for_three_shards(engine: engines.Engine) -> None:
    """docs/howto/wait-for-shards.md: the version that is complete gets its run, the other one none."""
    for version, shard in (("v7", 0), ("v8", 0), ("v7", 1), ("v7", 1), ("v8", 1), ("v7", 2)):
        send(engine, "shard.done", {"version": version, "shard": shard})
    runs = "SELECT run_id FROM dag_run WHERE dag_id = 'event_three_shards'"
    wait_for("the run of a complete version", lambda: engine.sql(runs) != [])
    ((run,),) = engine.sql(runs)
    expect("the publication", engine.wait_runs("event_three_shards", [run], limit=LIMIT), {run: "success"})
    keys = engine.sql("SELECT f.correlation FROM slipstream_firing f WHERE f.dag_id = 'event_three_shards'")
    expect("the version", keys, [["v7"]])


def stop_on_failure(engine: engines.Engine) -> None:
    """docs/howto/stop-on-failure.md."""
    dag = "event_stop_on_failure"
    good, bad = engine.trigger(dag), engine.trigger(dag, conf={"broken": True})
    expect("the ends", engine.wait_runs(dag, [good, bad], limit=LIMIT), {good: "success", bad: "failed"})
    ingest = dict(engine.sql(f"SELECT run_id, state FROM task_instance WHERE dag_id = '{dag}' AND task_id = 'ingest'"))
    expect("the ingests", ingest, {good: "success", bad: "failed"})
    reports = "SELECT run_id FROM dag_run WHERE dag_id = 'event_stop_report'"
    wait_for("the report of the failure", lambda: engine.sql(reports) != [])
    ((report,),) = engine.sql(reports)
    expect("the report", engine.wait_runs("event_stop_report", [report], limit=LIMIT), {report: "success"})


def play(engine: engines.Engine) -> None:
    """Start everything, wait for all ends, look."""
    engine.wait_dags([*STARTED, *BY_EVENTS, "event_new_model", "event_stop_on_failure"])
    names = "', '".join(BY_EVENTS)
    known = f"SELECT count(*) FROM slipstream_trigger WHERE dag_id IN ('{names}') AND status = 'active'"
    wait_for("the triggers on Dags are known", lambda: engine.sql(known) == [[str(len(BY_EVENTS))]])
    seen = Seen(engine)
    restart_on_a_new_model(engine, seen)
    wait_for_three_shards(engine)
    stop_on_failure(engine)
    runs = {dag: engine.trigger(dag) for dag in STARTED}
    for dag, run in runs.items():
        expect(f"the run of {dag}", engine.wait_runs(dag, [run], limit=LIMIT), {run: "success"})

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

    expect("one alarm", seen.tries("event_python_condition", "alarm"), 1)
    expect("no event is parked", engine.sql("SELECT count(*) FROM slipstream_dead_letter"), [["0"]])

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
