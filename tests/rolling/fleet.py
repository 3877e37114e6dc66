"""Several schedulers and a dag-processor on one database, each of which can be replaced: stock or Slipstream."""

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
sys.path[:0] = [str(HERE.parent / name) for name in ("chaos", "crash", "conformance")]
import processes  # noqa: E402
import psycopg2  # noqa: E402
from kept import Kept, signal_to, wait  # noqa: E402
from limits import Limits  # noqa: E402
from steps import PROCESSOR, SLIPSTREAM, STOCK, Step  # noqa: E402

@dataclass
class Place:
    """Where a scheduler runs, as on a machine of its own: a home folder and ports."""

    number: int
    program: str = STOCK
    surged: bool = False
    """Schedulers that are started before their predecessor ends need another place, and go back there the next time."""

    def role(self) -> str:
        return f"scheduler-{self.number}{'b' if self.surged else 'a'}"

    def port(self) -> int:
        return 100 * (2 * self.number + self.surged)


@dataclass
class Leaving:
    process: subprocess.Popen
    program: str
    kill: bool


@dataclass
class Fleet(Kept):
    places: dict[str, Place] = field(default_factory=dict)
    """The schedulers that should run, by role."""
    processor: str = STOCK
    leaving: dict[str, Leaving] = field(default_factory=dict)
    limits: Limits | None = None
    patience: float = 180
    """Seconds that a process may take to begin its work, and to end in order."""

    # -- who is there -------------------------------------------------------------------------------------

    def start_role(self, role: str) -> None:
        if role == PROCESSOR:
            self.spawn(f"{self.processor} dag-processor", role)
        elif role in self.places:
            self.start_scheduler(self.places[role])
        else:
            self.spawn(role)

    def start_scheduler(self, place: Place) -> None:
        home = self.home / place.role()
        home.mkdir(exist_ok=True)
        self.spawn(f"{place.program} scheduler", place.role(), {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.log_port + 2 + place.port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_port + place.port()),
        })

    def program(self, role: str) -> str:
        if role == PROCESSOR:
            return self.processor
        return self.places[role].program if role in self.places else STOCK

    def excused(self, role: str, code: int) -> bool:
        """What stock does by itself is counted among the restarts."""
        return self.program(role) == STOCK or super().excused(role, code)

    def children(self) -> list[subprocess.Popen]:
        return [*self.procs.values(), *(one.process for one in self.leaving.values())]

    def keep(self) -> None:
        super().keep()
        if self.limits:
            with contextlib.suppress(psycopg2.Error):
                self.limits.look()

    # -- replacing ----------------------------------------------------------------------------------------

    def replace(self, step: Step) -> str:
        """Carries out a step; returns what was done."""
        how = "killed" if step.kill else "ended in order"
        if step.who == PROCESSOR:
            before = self.processor
            self.leave(PROCESSOR, step)
            self.wait_gone(PROCESSOR)
            self.processor = step.to
            self.begin(PROCESSOR)
            return f"{before} dag-processor {how}, then {step.to}"
        (old,) = [place for place in self.places.values() if place.number == step.who]
        new = Place(old.number, step.to, old.surged != step.surge)
        if step.surge:
            self.wait_gone(new.role())
            self.places[new.role()] = new
            self.begin(new.role())
            self.leave(old.role(), step)
            return f"{new.program} {new.role()} beside {old.program} {old.role()}, which was then {how}"
        self.leave(old.role(), step)
        self.wait_gone(old.role())
        self.places[new.role()] = new
        self.begin(new.role())
        return f"{old.program} {old.role()} {how}, then {new.program} there"

    def begin(self, role: str) -> None:
        ((last,),) = self.sql("select coalesce(max(id), 0) from job")
        self.start_role(role)
        kind = "DagProcessorJob" if role == PROCESSOR else "SchedulerJob"
        job = f"select 1 from job where job_type = '{kind}' and state = 'running' and id > {last} and latest_heartbeat > start_date"
        if not wait(time.monotonic() + self.patience, lambda: self.sql(job), self):
            self.ended.append(f"{self.program(role)} {role} does nothing {self.patience:g} s after its start")

    def leave(self, role: str, step: Step) -> None:
        """Ends a process: in order, which may take as long as its tasks do; or by `kill -9`."""
        leaving = Leaving(self.procs.pop(role), self.program(role), step.kill)
        self.next_start.pop(role, None)
        self.places.pop(role, None)
        if step.kill:
            # Stock's tasks do not live without their scheduler; of ours the worker goes on, unless its machine is lost too.
            signal_to(leaving.process.pid, signal.SIGSTOP)
            below = processes.below(leaving.process.pid) if step.surge or leaving.program == STOCK else []
            for pid in [leaving.process.pid, *(one.pid for one in below)]:
                signal_to(pid, signal.SIGKILL)
        else:
            signal_to(leaving.process.pid, signal.SIGTERM)
        self.leaving[role] = leaving

    def wait_gone(self, role: str) -> None:
        leaving = self.leaving.get(role)
        if not leaving:
            return
        if not wait(time.monotonic() + self.patience, lambda: leaving.process.poll() is not None, self):
            self.ended.append(f"{leaving.program} {role} has not ended {self.patience:g} s after SIGTERM")
            leaving.process.kill()
        code = leaving.process.wait()
        if leaving.program == SLIPSTREAM and not leaving.kill and code:
            self.ended.append(f"{leaving.program} {role} ended with {code} after SIGTERM")
        del self.leaving[role]

    def stop(self) -> None:
        super().stop()
        self.leaving.clear()
        if not os.environ.get("HARNESS_KEEP"):
            self._psql(f"drop database if exists {self.pg_name} with (force)")
