"""A deployment of several schedulers on a PostgreSQL of its own, behind a proxy; and harm to each part of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "crash"), str(HERE.parent / "conformance")]
import engines  # noqa: E402
import processes  # noqa: E402
import psycopg2  # noqa: E402
from crash import Server  # noqa: E402
from events import Pair  # noqa: E402
from plan import Fault  # noqa: E402
from proxy import Proxy  # noqa: E402

PROCESSOR, TRIGGERER = "slipstream dag-processor", "airflow triggerer"
UNREACHABLE = 4
"""The exit code of a process that finds no database at its start; whoever looks after it starts it again."""


@dataclass
class Deployment(Pair):
    server: Server | None = None
    proxy: Proxy | None = None
    ended: list[str] = field(default_factory=list)
    """Processes of ours that ended by themselves."""
    restarts: dict[str, int] = field(default_factory=dict)
    next_start: dict[str, float] = field(default_factory=dict)

    # -- the database -------------------------------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        environ = super().environ()
        url = environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url.replace(f":{self.server.port}/", f":{self.proxy.port}/")
        return environ

    def sql(self, query: str) -> list[tuple]:
        """Asks the database itself, not through the proxy."""
        connection = psycopg2.connect(self.sqlalchemy_url().replace("+psycopg2", ""), connect_timeout=10)
        with contextlib.closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

    # -- who is there -------------------------------------------------------------------------------------

    def scheduler_roles(self) -> list[str]:
        return [f"scheduler-{which}" for which in range(self.schedulers)]

    def start_role(self, role: str) -> None:
        if role in self.scheduler_roles():
            self.start(self.scheduler_roles().index(role))
        else:
            self.spawn(role)

    def keep(self) -> None:
        """Starts again what has ended, a second later, as systemd would. Tells of what had no reason to end."""
        for role, process in list(self.procs.items()):
            code = process.poll()
            if code is not None and role not in self.next_start:
                self.next_start[role] = time.monotonic() + 1
                self.restarts[role] = self.restarts.get(role, 0) + 1
                if role != TRIGGERER and code != UNREACHABLE:
                    self.ended.append(f"{role} has ended by itself with {code}")
        for role, when in list(self.next_start.items()):
            if time.monotonic() >= when:
                del self.next_start[role]
                self.start_role(role)
        processes.reap({process.pid for process in self.procs.values()})

    def restart(self, role: str, sig: int) -> None:
        process = self.procs[role]
        if process.poll() is None:
            # A stopped process would not see SIGTERM.
            process.send_signal(signal.SIGCONT)
            self.kill(role, sig, group=False)
            if process.poll() is None:
                self.ended.append(f"{role} has not ended 20 s after SIGTERM")
                process.kill()
                process.wait()
        self.next_start.pop(role, None)
        self.start_role(role)

    def workers(self) -> list[processes.Process]:
        program = Path(engines.SLIPSTREAM_BIN).name
        return [one for one in processes.below(os.getpid()) if Path(one.words[0]).name == program and "worker" in one.words]

    def victims(self, whom: str) -> list[int]:
        if whom == "scheduler":
            return [self.procs[role].pid for role in self.scheduler_roles()]
        if whom == "dag-processor":
            return [self.procs[PROCESSOR].pid]
        workers = [one.pid for one in self.workers()]
        if whom == "worker":
            return workers
        everyone = processes.below(os.getpid())
        zygotes = [one.pid for one in everyone if one.parent in [*workers, self.procs[PROCESSOR].pid]]
        return zygotes if whom == "zygote" else [one.pid for one in everyone if one.parent in zygotes]

    # -- harm ---------------------------------------------------------------------------------------------

    def harm(self, fault: Fault):
        """Does it; returns what happened, and the function that undoes it, if it lasts."""
        return getattr(self, f"harm_{fault.what}")(fault)

    def harm_kill(self, fault: Fault):
        if fault.whom == "everything":
            for one in self.workers():
                signal_to(one.pid, signal.SIGKILL)
            for role in [*self.scheduler_roles(), PROCESSOR]:
                self.restart(role, signal.SIGKILL)
            return "killed all schedulers, their workers and the dag-processor", None
        if fault.whom in ("scheduler", "dag-processor"):
            role = picked(self.scheduler_roles() if fault.whom == "scheduler" else [PROCESSOR], fault)
            self.restart(role, signal.SIGKILL)
            return f"killed {role}", None
        victims = self.victims(fault.whom)
        if not victims:
            return f"there is no {fault.whom} to kill", None
        pid = picked(victims, fault)
        signal_to(pid, signal.SIGKILL)
        return f"killed {fault.whom} {pid}", None

    def harm_stop(self, fault: Fault):
        victims = self.victims(fault.whom)
        if not victims:
            return f"there is no {fault.whom} to stop", None
        pid = picked(victims, fault)
        signal_to(pid, signal.SIGSTOP)
        return f"stopped {fault.whom} {pid}", lambda: signal_to(pid, signal.SIGCONT)

    def harm_term(self, fault: Fault):
        role = picked(self.scheduler_roles(), fault)
        self.restart(role, signal.SIGTERM)
        return f"ended {role} in order, and started another", None

    def harm_down(self, fault: Fault):
        self.server.stop("immediate")
        return "shut PostgreSQL down at once", self.server.start

    def harm_end(self, fault: Fault):
        try:
            ended = self.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity"
                             f" where datname = '{self.pg_name}' and pid <> pg_backend_pid()")
        except psycopg2.OperationalError:
            return "the database is down, no connections to end", None
        return f"ended {ended[0][0]} connections", None

    def harm_stall(self, fault: Fault):
        self.proxy.stall()
        return "stalled the proxy", self.proxy.flow

    def harm_cut(self, fault: Fault):
        return f"cut {self.proxy.cut()} connections", None

    # -- the end ------------------------------------------------------------------------------------------

    def end(self, limit: float) -> list[str]:
        """Ends everything in order; returns what is left of it after so many seconds."""
        for process in self.procs.values():
            signal_to(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + limit
        while left := [one for one in processes.below(os.getpid()) if not is_postgres(one)]:
            if time.monotonic() > deadline:
                break
            for process in self.procs.values():
                process.poll()
            processes.reap({process.pid for process in self.procs.values()})
            time.sleep(0.1)
        return [f"process {one.pid} of {one.parent}: {' '.join(one.words)[:200]}" for one in left]

    def stop(self) -> None:
        """Leaves nothing behind, in whatever state it is."""
        for one in processes.below(os.getpid()):
            if not is_postgres(one):
                signal_to(one.pid, signal.SIGKILL)
        for process in self.procs.values():
            process.wait()
        self.procs.clear()


def is_postgres(one: processes.Process) -> bool:
    return "postgres" in Path(one.words[0]).name or one.words[0].startswith("postgres:")


def picked(among: list, fault: Fault):
    return among[int(fault.pick * len(among))]


def signal_to(pid: int, sig: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def dump(deployment: Deployment, to: Path) -> None:
    """Keeps the tables for whoever looks into a violation."""
    url = deployment.sqlalchemy_url().replace("+psycopg2", "")
    with open(to, "wb") as out:
        subprocess.run(["pg_dump", url], stdout=out, check=False)
