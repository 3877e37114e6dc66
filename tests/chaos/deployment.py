"""A deployment of several schedulers on a PostgreSQL of its own, behind a proxy; and harm to each part of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "crash"), str(HERE.parent / "conformance")]
import engines  # noqa: E402
import processes  # noqa: E402
import psycopg2  # noqa: E402
from crash import Server  # noqa: E402
from clocks import Clocks  # noqa: E402
from kept import Kept, signal_to  # noqa: E402
from plan import Fault  # noqa: E402
from proxy import Proxy  # noqa: E402

PROCESSOR = "slipstream dag-processor"


@dataclass
class Deployment(Kept):
    server: Server | None = None
    proxy: Proxy | None = None
    clocks: Clocks | None = None
    """Of the machines of the schedulers, each with its worker, and of that of the dag-processor."""

    def environ(self) -> dict[str, str]:
        environ = super().environ()
        url = environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url.replace(f":{self.server.port}/", f":{self.proxy.port}/")
        return environ

    # -- who is there -------------------------------------------------------------------------------------

    def scheduler_roles(self) -> list[str]:
        return [f"scheduler-{which}" for which in range(self.schedulers)]

    def machines(self) -> list[str]:
        return [*self.scheduler_roles(), PROCESSOR]

    def spawn(self, role: str, name: str = "", env: dict[str, str] | None = None) -> subprocess.Popen:
        machine = name or role
        if self.clocks and machine in self.machines():
            env = (env or {}) | self.clocks.environ(machine)
        return super().spawn(role, name, env)

    def start_role(self, role: str) -> None:
        if role in self.scheduler_roles():
            self.start(self.scheduler_roles().index(role))
        else:
            self.spawn(role)

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

    def harm_step(self, fault: Fault):
        machine = picked(self.machines(), fault)
        self.clocks.put(machine, fault.by)
        return f"the clock of {machine} is wrong", lambda: self.clocks.put(machine, 0)

    harm_jump = harm_step


def picked(among: list, fault: Fault):
    return among[int(fault.pick * len(among))]
