"""A deployment whose processes are looked after: what ends by itself is started again, and in the end none may be left."""

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
import processes  # noqa: E402
import psycopg2  # noqa: E402
from events import Pair  # noqa: E402

TRIGGERER = "airflow triggerer"
UNREACHABLE = 4
"""The exit code of a process that finds no database at its start; whoever looks after it starts it again."""


@dataclass
class Kept(Pair):
    ended: list[str] = field(default_factory=list)
    """Processes of ours that ended by themselves."""
    restarts: dict[str, int] = field(default_factory=dict)
    next_start: dict[str, float] = field(default_factory=dict)

    def sql(self, query: str) -> list[tuple]:
        """Asks the database itself, not through a proxy."""
        connection = psycopg2.connect(self.sqlalchemy_url().replace("+psycopg2", ""), connect_timeout=10)
        with contextlib.closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

    def start_role(self, role: str) -> None:
        self.spawn(role)

    def excused(self, role: str, code: int) -> bool:
        """Whether a process may end by itself in this way."""
        return role == TRIGGERER or code == UNREACHABLE

    def children(self) -> list[subprocess.Popen]:
        """The processes that this one waits for by itself."""
        return list(self.procs.values())

    def keep(self) -> None:
        """Starts again what has ended, a second later, as systemd would. Tells of what had no reason to end."""
        for role, process in list(self.procs.items()):
            code = process.poll()
            if code is not None and role not in self.next_start:
                self.next_start[role] = time.monotonic() + 1
                self.restarts[role] = self.restarts.get(role, 0) + 1
                if not self.excused(role, code):
                    self.ended.append(f"{role} has ended by itself with {code}")
        for role, when in list(self.next_start.items()):
            if time.monotonic() >= when:
                del self.next_start[role]
                self.start_role(role)
        processes.reap({process.pid for process in self.children()})

    def panics(self) -> list[str]:
        return self.lines("panicked at")

    def lines(self, words: str) -> list[str]:
        """What any process has said with these words in it."""
        return [f"{log.name}: {line}" for log in sorted((self.home / "proc").glob("*.log"))
                for line in log.read_text(errors="replace").splitlines() if words in line]

    def end(self, limit: float) -> list[str]:
        """Ends everything in order; returns what is left of it after so many seconds."""
        for process in self.procs.values():
            signal_to(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + limit
        while left := [one for one in processes.below(os.getpid()) if not is_postgres(one)]:
            if time.monotonic() > deadline:
                break
            for process in self.children():
                process.poll()
            processes.reap({process.pid for process in self.children()})
            time.sleep(0.1)
        return [f"process {one.pid} of {one.parent}: {' '.join(one.words)[:200]}" for one in left]

    def stop(self) -> None:
        """Leaves nothing behind, in whatever state it is."""
        for one in processes.below(os.getpid()):
            if not is_postgres(one):
                signal_to(one.pid, signal.SIGKILL)
        for process in self.children():
            process.wait()
        self.procs.clear()


def wait(deadline: float, condition, deployment: Kept) -> bool:
    """Looks after the deployment until the condition holds; a database that does not answer is no answer."""
    while True:
        deployment.keep()
        with contextlib.suppress(psycopg2.Error):
            if condition():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def is_postgres(one: processes.Process) -> bool:
    return "postgres" in Path(one.words[0]).name or one.words[0].startswith("postgres:")


def signal_to(pid: int, sig: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def dump(deployment: Kept, to: Path) -> None:
    """Keeps the tables for whoever looks into a violation."""
    url = deployment.sqlalchemy_url().replace("+psycopg2", "")
    with open(to, "wb") as out:
        subprocess.run(["pg_dump", url], stdout=out, check=False)
