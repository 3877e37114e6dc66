"""`slipstream debug dump` and SIGUSR2 on a running deployment: the state is there, and no process ends.

    python tests/debug/debug.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import engines  # noqa: E402

DAG = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("sleeps", schedule=None):
    BashOperator(task_id="sleep", bash_command="sleep 20")
"""


def until(holds, limit: float, what: str):
    deadline = time.monotonic() + limit
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit} s: {what}")
        time.sleep(0.5)
    return found


def dump(engine: engines.Engine, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([engines.SLIPSTREAM_BIN, "debug", "dump", *options], env=engine.environ(), capture_output=True, text=True, check=False)


def states(engine: engines.Engine) -> list[dict]:
    return [json.loads(line) for line in dump(engine, "--json").stdout.splitlines()]


def ours(engine: engines.Engine) -> dict[int, str]:
    """Living processes of ours and those below them, except tasks: those are Airflow's, and end by SIGUSR2 there too."""
    found = {}
    for pid in engine.tree() - {engine.procs[role].pid for role in engine.procs if role.startswith("airflow")}:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if line and "airflow api" not in line and "triggerer" not in line and "sleep" not in line and "gunicorn" not in line:
            found[pid] = line
    return found


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="debug-"))
    (home / "dags").mkdir()
    (home / "dags" / "sleeps.py").write_text(DAG)
    with engines.Engine("slipstream", home / "home", home / "dags", "sqlite", api=False,
                        roles=["slipstream scheduler", "slipstream dag-processor"]) as engine:
        until(lambda: engine.sql("select 1 from serialized_dag"), 90, "the Dag is there")
        until(lambda: (found := states(engine)) and found[0]["scheduler"]["executors"][0]["ready"], 60, "the worker is there")
        [state] = states(engine)
        print(dump(engine).stdout)
        assert state["pid"] == engine.procs["slipstream scheduler"].pid
        assert state["scheduler"]["rounds"]["count"] > 0 and state["memory"]["pss"] > 1000
        worker = state["scheduler"]["executors"][0]["worker_pid"]
        zygotes = until(lambda: [one for one in states(engine)[0]["children"] if one["parent"] == worker], 60, "a zygote is there")
        assert "open" in state["pools"]["default_pool"] and "head" in state["events"]

        second = engine.spawn("slipstream scheduler", "second", {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "0"})
        until(lambda: len(states(engine)) == 2, 60, "the second scheduler answers")
        assert [one["pid"] for one in map(json.loads, dump(engine, "--json", "--pid", str(second.pid)).stdout.splitlines())] == [second.pid]
        engine.kill("second", signal.SIGKILL)
        assert len(states(engine)) == 1, "one that was killed is passed over"

        before = ours(engine)
        assert worker in before and zygotes[0]["pid"] in before
        for pid in before:
            os.kill(pid, signal.SIGUSR2)
        log = engine.home / "proc" / "slipstream-scheduler.log"
        until(lambda: "SIGUSR2 (12) received, printing debug" in log.read_text(), 30, "the scheduler writes its state")
        assert len(states(engine)) == 1
        gone = {pid: line for pid, line in before.items() if not Path(f"/proc/{pid}/cmdline").exists()}
        assert not gone, f"SIGUSR2 ended {gone}"
        print(f"SIGUSR2 to {len(before)} processes: all go on")
        engine.kill("slipstream scheduler", signal.SIGTERM, group=False)
        nobody = dump(engine)
        print(nobody.stderr)
        assert nobody.returncode == 1 and "no scheduler" in nobody.stderr
    shutil.rmtree(home, ignore_errors=True)
    print("passed")


if __name__ == "__main__":
    main()
