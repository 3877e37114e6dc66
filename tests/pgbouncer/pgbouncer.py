"""A whole deployment behind PgBouncer in transaction mode: two schedulers with their workers, a dag-processor, a shadow.

    python tests/pgbouncer/pgbouncer.py [--round-robin]

with ``SLIPSTREAM_BIN`` naming the binary and ``PG_ADMIN_URL`` a server. Exits with 1 and says what is wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
sys.path.insert(0, str(HERE.parent / "events"))

import engines  # noqa: E402
from bouncer import Bouncer, program  # noqa: E402
from tasks import Deployment, wait_for  # noqa: E402

EVENTS = 20
RUNS = {"hours": 12, "mapped": 3, "retried": 3, "by_event": EVENTS // 2}
TRIES = {"hours": 36, "mapped": 30, "retried": 3, "by_event": EVENTS // 2}
WRONG = re.compile(r"prepared statement|startup parameter|transaction is aborted|panicked|\berror\b", re.IGNORECASE)
NOISE = re.compile(r"the first try fails|import_error|error_code", re.IGNORECASE)
SESSION = {
    "SHOW search_path": '"$user", public',
    "SHOW default_transaction_read_only": "off",
    "SHOW default_transaction_isolation": "read committed",
    "SELECT count(*) FROM pg_prepared_statements": "0",
    "SELECT count(*) FROM pg_listening_channels()": "0",
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()": "0",
}
"""What a client finds on any connection of the server after ours had it."""


class Pooled(engines.Engine):
    """A deployment whose processes know the database only through the pooler."""

    bouncer: Bouncer

    def environ(self) -> dict[str, str]:
        environ = super().environ()
        if self.pg_name.startswith("airflow_h_"):
            url = f"postgresql+psycopg2://postgres@127.0.0.1:{self.bouncer.port}/{self.pg_name}"
            environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url
        return environ

    def scheduler(self, which: int) -> None:
        """Start a scheduler with its worker, as on a machine of its own."""
        self.spawn("slipstream scheduler", f"scheduler-{which}", {
            "AIRFLOW__SLIPSTREAM__RUNTIME_DIR": str(self.home / f"runtime-{which}"),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.log_port + 2 + 100 * which),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_port + 100 * which),
            # The second names the schema: that is a setting, and must not stay on a connection.
            **({"AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA": "public,pg_catalog"} if which else {}),
        })


def play(test: Deployment) -> None:
    """All runs, with a shadow that only reads."""
    engine = test.engine
    wait_for("the trigger is known", lambda: test.triggers() == 1)
    engine.spawn("slipstream scheduler --shadow", "shadow")
    for number in range(EVENTS):
        test.send("order.placed", {"number": number})

    def ended() -> bool:
        rows = engine.sql("SELECT dag_id, count(*) FROM dag_run WHERE state = 'success' GROUP BY dag_id")
        return {dag_id: int(count) for dag_id, count in rows} == RUNS

    wait_for(f"these runs succeed: {RUNS}", ended)
    rows = engine.sql("SELECT dag_id, count(*) FROM task_instance WHERE state = 'success' GROUP BY dag_id")
    assert {dag_id: int(count) for dag_id, count in rows} == TRIES, rows
    assert test.number("SELECT count(*) FROM task_instance_history") == RUNS["retried"]
    assert test.number("SELECT count(*) FROM dag_run") == sum(RUNS.values())
    both = test.number("SELECT count(DISTINCT queued_by_job_id) FROM task_instance")
    assert both == 2, f"{both} scheduler(s) queued tasks"
    engine.procs["shadow"].send_signal(signal.SIGINT)
    code = engine.procs.pop("shadow").wait(30)
    assert code in (0, 9), f"the shadow ended with {code}"


def leaves_nothing(engine: Pooled, servers: int) -> None:
    """Every connection of the server is as it was, with our processes still there and after them."""
    seen = set()
    for query, wanted in SESSION.items():
        for _ in range(3 * servers):
            found = engine.bouncer.ask(engine.pg_name, query)
            assert found == wanted, f"{query}: {found}"
            seen.add(engine.bouncer.ask(engine.pg_name, "SELECT pg_backend_pid()"))
    print(f"  {len(seen)} connection(s) of the server looked at")


def logs(engine: Pooled) -> None:
    """No line of an error, and one that says that the pooler was seen."""
    for log in sorted((engine.home / "proc").glob("*.log")):
        text = log.read_text()
        wrong = [line for line in text.splitlines() if WRONG.search(line) and not NOISE.search(line)]
        assert not wrong, f"{log.name}:\n" + "\n".join(wrong[:10])
        if log.name.startswith("scheduler-"):
            assert "A pooler gives each transaction another connection" in text, f"{log.name} does not name the pooler"
    wrong = [line for line in engine.bouncer.log.read_text().splitlines() if re.search(r"unsupported|unclean|bad packet", line)]
    assert not wrong, wrong[:10]


def main() -> None:
    """Run it once."""
    program()
    round_robin = "--round-robin" in sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="slipstream-pgbouncer-"))
    folder.chmod(0o755)
    servers = 4
    bouncer = Bouncer(folder / "pgbouncer", engines.PG_ADMIN_URL, engines.free_port(), servers=servers, round_robin=round_robin)
    try:
        engine = Pooled(
            "slipstream", folder / "home", HERE / "dags", db="postgres", api=False, roles=["slipstream dag-processor"],
            env={"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__CORE__PARALLELISM": "8"},
        )
        engine.bouncer = bouncer
        started = time.monotonic()
        with engine:
            engine.scheduler(0)
            engine.scheduler(1)
            play(Deployment(engine, folder))
            leaves_nothing(engine, servers)
            check = [engines.SLIPSTREAM_BIN, "triggers", "list"]
            subprocess.run(check, env=engine.environ(), check=True, stdout=subprocess.DEVNULL)
            for role in list(engine.procs):
                engine.procs[role].send_signal(signal.SIGTERM)
            for role, process in list(engine.procs.items()):
                assert process.wait(60) == 0, f"{role} ended with {process.returncode}"
            leaves_nothing(engine, servers)
            logs(engine)
    finally:
        bouncer.stop()
    shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - started
    print(f"pgbouncer: ok ({json.dumps(RUNS)}, {servers} connections, round robin {round_robin}, {took:.0f} s)")


if __name__ == "__main__":
    main()
