"""Kill parts of a running deployment at random moments, and see that nothing is lost and nothing happens twice.

Each scenario starts a deployment on a database of its own with the Dags of ``dags/``, does harm until all runs have ended
or the time is up, and then asks: did every run end in the expected state, is every run there once, did no try of a task
run twice, and did every task that succeeded run at all?

    python tests/crash/crash.py --scenario kill --db sqlite --db postgres --limit 150 --seed 7
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
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

EXPECTED = {"chain": "success", "mapped": "success", "bash": "success", "sensor": "success", "failing": "failed"}
SCHEDULER, PROCESSOR = "slipstream scheduler", "slipstream dag-processor"


class Deployment(engines.Engine):
    """An engine that finds the processes below the roles as well."""

    def pids(self, *words: str) -> list[int]:
        """Live processes of this deployment whose command line has these words."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if all(word.encode() in line for word in words):
                    # A worker cannot be asked for its environment once it is not dumpable, except by root.
                    if f"AIRFLOW_HOME={self.home}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes() + b"\0":
                        found.append(int(pid))
        return found

    def workers(self) -> list[int]:
        return self.pids("worker")

    def children(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def restart(self, role: str, sig: int = signal.SIGKILL) -> None:
        self.kill(role, sig, group=False)
        self.spawn(role)

    def unfinished(self) -> int:
        with contextlib.suppress(Exception):
            ended = self.sql("select count(*) from dag_run where state in ('success', 'failed')")
            return self.runs * len(EXPECTED) - int(ended[0][0])
        return -1

    runs: int = 0


# -- what is done to a deployment --------------------------------------------------------------------------------------


def harm_kill(deployment: Deployment, dice: random.Random) -> str:
    victim = dice.choice(["scheduler", "scheduler", "worker", "zygote", "task", "dag-processor", "everything"])
    if victim == "scheduler":
        deployment.restart(SCHEDULER)
    elif victim == "dag-processor":
        deployment.restart(PROCESSOR)
    elif victim == "everything":
        for pid in deployment.workers():
            kill(pid)
        deployment.restart(PROCESSOR)
        deployment.restart(SCHEDULER)
    else:
        pids = deployment.workers()
        for _ in range({"worker": 0, "zygote": 1, "task": 2}[victim]):
            pids = [child for pid in pids for child in deployment.children(pid)]
        if not pids:
            return f"no {victim} to kill"
        kill(dice.choice(pids))
    return f"killed {victim}"


def harm_term(deployment: Deployment, dice: random.Random) -> str:
    deployment.restart(SCHEDULER, signal.SIGTERM)
    return "told the scheduler to end, and started another"


def harm_backends(deployment: Deployment, dice: random.Random) -> str:
    ended = deployment._psql(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        f"where datname = '{deployment.pg_name}' and pid <> pg_backend_pid()"
    )
    return f"ended {ended} connections"


def harm_server(deployment: Deployment, dice: random.Random) -> str:
    down = dice.uniform(0.5, 4)
    SERVER.stop()
    time.sleep(down)
    SERVER.start()
    return f"PostgreSQL was down for {down:.1f} s"


def harm_stock(deployment: Deployment, dice: random.Random) -> str:
    now, other = (SCHEDULER, "airflow scheduler") if SCHEDULER in deployment.procs else ("airflow scheduler", SCHEDULER)
    deployment.kill(now, signal.SIGTERM, group=False)
    deployment.spawn(other)
    return f"{other} takes over"


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# name: what is done, seconds between (from, to), whether tries may be spent, databases, whether the API server is needed
SCENARIOS = {
    "kill": (harm_kill, (1.0, 4.0), True, ("sqlite", "postgres"), False),
    "term": (harm_term, (1.5, 4.0), False, ("sqlite", "postgres"), False),
    "backends": (harm_backends, (0.5, 2.5), True, ("postgres",), False),
    "server": (harm_server, (3.0, 6.0), True, ("postgres",), False),
    "stock": (harm_stock, (12.0, 18.0), True, ("postgres",), True),
}


class Server:
    """A PostgreSQL server of our own, which may be stopped."""

    def __init__(self, folder: Path) -> None:
        self.bin = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.data, self.port = folder / "pg", engines.free_port()
        self.data.mkdir()
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.user:
            folder.chmod(0o755)
            shutil.chown(self.data, "postgres")
        self.run("initdb", "-U", "postgres", "-A", "trust", "--no-sync")
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = ''\nmax_connections = 200\nfsync = off\n")
        self.start()
        self.url = f"postgresql://postgres:postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *args: str) -> None:
        subprocess.run([*self.user, str(self.bin / program), "-D", str(self.data), *args], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd="/")

    def start(self) -> None:
        self.run("pg_ctl", "-w", "-l", str(self.data / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-w", "-m", mode, "stop")

    def take_template(self, source: str) -> None:
        """Copies the migrated template of another server, which is much faster than to migrate."""
        for (name,) in [[line] for line in psql(source, "select datname from pg_database where datname like 'airflow_tmpl%'")]:
            psql(self.url, f"create database {name}")
            dump = subprocess.Popen(["pg_dump", source.rsplit("/", 1)[0] + "/" + name], stdout=subprocess.PIPE)
            subprocess.run(["psql", "-q", self.url.rsplit("/", 1)[0] + "/" + name], stdin=dump.stdout, check=True,
                           stdout=subprocess.DEVNULL)


def psql(url: str, sql: str) -> list[str]:
    done = subprocess.run(["psql", url, "-Atc", sql], check=True, capture_output=True, text=True)
    return done.stdout.split()


SERVER: Server


# -- the oracle --------------------------------------------------------------------------------------------------------


def faults(deployment: Deployment, notes: Path, spends_tries: bool) -> list[str]:
    found = []
    runs = deployment.sql("select dag_id, run_id, state from dag_run")
    per_dag = collections.Counter(dag for dag, _, _ in runs)
    for dag, expected in EXPECTED.items():
        if per_dag[dag] != deployment.runs:
            found.append(f"{dag}: {per_dag[dag]} runs instead of {deployment.runs}")
        for _, run, state in (row for row in runs if row[0] == dag and row[2] != expected):
            found.append(f"{dag} {run}: {state} instead of {expected}")
            for row in deployment.sql(
                "select task_id, map_index, state, try_number, max_tries, queued_by_job_id, hostname, pid from task_instance "
                f"where dag_id = '{dag}' and run_id = '{run}'"):
                found.append(f"    {row}")
    lines = notes.read_text().splitlines() if notes.exists() else []
    for line, times in collections.Counter(lines).items():
        if times > 1:
            found.append(f"ran {times} times: {line}")
    ran = {line.rsplit(" ", 1)[0] for line in lines}
    succeeded = deployment.sql(
        "select dag_id, run_id, task_id, map_index, try_number from task_instance where state = 'success' and task_id <> 'ready'")
    for dag, run, task, index, tries in succeeded:
        if f"{dag} {run} {task} {index}" not in ran:
            found.append(f"succeeded without having run: {dag} {run} {task} {index}")
        if not spends_tries and tries != "1":
            found.append(f"took {tries} tries although nothing of it was harmed: {dag} {run} {task} {index}")
    return found


def play(name: str, db: str, limit: float, seed: int, runs: int) -> list[str]:
    harm, (least, most), spends_tries, _, api = SCENARIOS[name]
    dice = random.Random(seed)
    home = Path(tempfile.mkdtemp(prefix=f"slipstream-crash-{name}-{db}-"))
    notes = home / "notes"
    env = {
        "CRASH_NOTES": str(notes), "CRASH_RUNS": str(runs), "CRASH_PAUSE": "0.8",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "5",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__CORE__PARALLELISM": "8",
    }
    roles = [SCHEDULER, PROCESSOR]
    deployment = Deployment("slipstream", home, HERE / "dags", db, env, api=api, roles=roles)
    deployment.runs = runs
    with deployment:
        deployment.wait_dags(list(EXPECTED))
        deadline, calm = time.time() + limit, time.time() + limit * 0.6
        next_harm = time.time() + 3
        while time.time() < deadline and (left := deployment.unfinished()) != 0:
            if next_harm < time.time() < calm:
                print(f"  {limit - deadline + time.time():5.1f} s  {harm(deployment, dice)}; {left} runs to go", flush=True)
                next_harm = time.time() + dice.uniform(least, most)
            time.sleep(0.2)
        took = limit - deadline + time.time()
        found = faults(deployment, notes, spends_tries)
        for role, process in deployment.procs.items():
            if process.poll() is not None:
                found.append(f"{role} has ended by itself with {process.returncode}")
    print(f"{name} on {db} (seed {seed}): {'FAILED' if found else 'ok'} after {took:.0f} s, logs in {home}")
    for fault in found:
        print(f"  {fault}")
    if not found:
        shutil.rmtree(home, ignore_errors=True)
    return found


def main() -> int:
    global SERVER
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="default: all")
    parser.add_argument("--db", action="append", choices=["sqlite", "postgres"], help="default: both")
    parser.add_argument("--limit", type=float, default=150, help="seconds per scenario; harm is done in the first 60 %%")
    parser.add_argument("--runs", type=int, default=10, help="runs per Dag")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    failed = 0
    with contextlib.ExitStack() as stack:
        for name in args.scenario or SCENARIOS:
            for db in SCENARIOS[name][3]:
                if db not in (args.db or [db]):
                    continue
                if name == "server" and "SERVER" not in globals():
                    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipstream-crash-pg-")))
                    SERVER = Server(folder)
                    stack.callback(SERVER.stop)
                    SERVER.take_template(engines.PG_ADMIN_URL)
                with on_server(SERVER.url if name == "server" else engines.PG_ADMIN_URL):
                    failed += bool(play(name, db, args.limit, args.seed, args.runs))
    return 1 if failed else 0


@contextlib.contextmanager
def on_server(url: str):
    before, engines.PG_ADMIN_URL = engines.PG_ADMIN_URL, url
    try:
        yield
    finally:
        engines.PG_ADMIN_URL = before


if __name__ == "__main__":
    sys.exit(main())
