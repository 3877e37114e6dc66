#!/usr/bin/env python3
"""Side-by-side benchmark of the stock Airflow scheduler and dag-processor and of slipstream.

    bench.py --engines stock,slipstream --db postgres --workloads all --repeat 3 --out results.json
    bench.py --list                               what each workload measures and where it comes from
    bench.py --report results.json                print the table of a saved file again

For every workload the engines run in turn (A B A B ...), each on a fresh, migrated database, in the same
deployment: the unmodified Airflow api-server, the same settings, the same Dag files. Every figure comes from
timestamps in the metadata database, from ``/proc`` and from the benchmark's own clock. No log line, metric or
self-reported number of an engine is used.

Engine names: those of ``engines.py`` (``stock``, ``slipstream``, ``mixed-sched``, ``mixed-dp``, ``duo``), each
with ``-tuned`` after it for the tuned settings (see ``TUNED``). A name may be given twice (``stock,stock``), which
shows how much of a difference is noise. Needs Python 3.11, ``psql`` for PostgreSQL, and Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import math
import os
import platform
import random
import selectors
import shutil
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "conformance"))
import engines as _engines
from engines import AIRFLOW_BIN, ROLES, Engine, free_port

# Settings both engines run with. Where Airflow has a default, this is it: they are written out so that a setting of
# the machine or of engines.py cannot differ between two rows of the table.
BASE = {
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
    "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "16",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",  # Airflow's default is True: nothing would run
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "16",
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "10",
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "20",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
    "AIRFLOW__API__WORKERS": "1",
}
# What an operator would change to make the stock scheduler quick (the `-tuned` engines).
TUNED = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "0",  # 0 = up to [core] parallelism
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "100",
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "100",
}


WARM = "warm_up"  # the Dag that is run once before measuring: the first task makes the api-server import for seconds
NOT_WARM = f"dag_id <> '{WARM}'"


# -- bytecode ---------------------------------------------------------------------------------------------------------


def bytecode_env() -> dict[str, str]:
    """Settings under which Python finds compiled bytecode of Airflow, as it does after an ordinary ``pip install``.

    An environment made without bytecode (``uv pip install``), or ``PYTHONDONTWRITEBYTECODE`` in the machine's settings,
    makes every process and every forked task compile what it imports, which would be a handicap of the machine and not
    of the engine. Where Airflow has no bytecode beside its sources, it is compiled once into the harness cache.
    """
    py = str(AIRFLOW_BIN / "python")
    info = subprocess.run(
        [py, "-c", "import airflow,os,sysconfig as s,importlib.util as u;"
                   "print(os.path.exists(u.cache_from_source(airflow.__file__)),s.get_path('purelib'),s.get_path('stdlib'),sep='\\n')"],
        capture_output=True, text=True, check=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPYCACHEPREFIX"},
    ).stdout.split("\n")
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    if info[0] == "True":
        return env
    prefix = Path(os.environ.get("HARNESS_CACHE", Path(tempfile.gettempdir()) / "slipstream-harness")) / "pyc"
    env["PYTHONPYCACHEPREFIX"] = str(prefix)
    stamp = prefix / ("compiled" + info[1].replace("/", "_"))
    if not stamp.exists():
        say("compiling bytecode of the Airflow installation (once)")
        for tree in info[1:3]:
            subprocess.run([py, "-m", "compileall", "-q", "-j", "0", "-x", r"/(test|tests|idlelib)/", tree],
                           env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=900)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return env


# -- processes: CPU seconds and memory from /proc ---------------------------------------------------------------------

TICK = os.sysconf("SC_CLK_TCK")


def proc_table() -> dict[int, tuple[int, int, float, float]]:
    """pid -> (parent, session, own CPU seconds, CPU seconds of reaped children)."""
    out = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                out[int(pid)] = (int(f[1]), int(f[3]), (int(f[11]) + int(f[12])) / TICK, (int(f[13]) + int(f[14])) / TICK)
    return out


def busy_seconds() -> float:
    """CPU seconds spent by everything on this machine since it started."""
    f = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    return (sum(f) - f[3] - f[4] - f[7]) / TICK  # without idle, iowait, steal


def tree(root: int, table=None) -> list[int]:
    """A role's processes: the root, everything it started, and whatever shares its session."""
    table = table or proc_table()
    kids = defaultdict(list)
    for pid, (parent, *_rest) in table.items():
        kids[parent].append(pid)
    seen, todo = set(), [root] + [p for p, v in table.items() if v[1] == root]
    while todo:
        p = todo.pop()
        if p in table and p not in seen:
            seen.add(p)
            todo += kids[p]
    return sorted(seen)


def pss_mib(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


# -- a tap on the PostgreSQL connection: counts statements per role ----------------------------------------------------


class SqlTap:
    """A proxy for one role's database connections that counts what the role sends.

    Statements are simple queries plus executions of prepared ones; round trips are the points at which a client waits
    for an answer (simple query, sync, flush). Used only by workloads in which the database is nearly idle.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream, self.port = (host, port), 0
        self.n: dict[str, int] = defaultdict(int)
        self.log: list[str] | None = [] if os.environ.get("BENCH_SQL_LOG") else None
        self._listen = socket.create_server(("127.0.0.1", 0))
        self.port = self._listen.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listen.close()

    def _accept(self) -> None:
        while True:
            try:
                c, _ = self._listen.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c: socket.socket) -> None:
        try:
            head = self._startup(c)
            if head is None:
                return
            s = socket.create_connection(self.upstream)
            for k in (c, s):
                k.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(head)
            self._pump(c, s)
        except OSError:
            pass
        finally:
            c.close()

    @staticmethod
    def _startup(c: socket.socket) -> bytes | None:
        """Refuse encryption (the tap could not read it), then return the start-up message."""
        while True:
            head = b""
            while len(head) < 8:
                got = c.recv(8 - len(head))
                if not got:
                    return None
                head += got
            length, code = struct.unpack("!II", head)
            if code in (80877103, 80877104):  # SSLRequest, GSSENCRequest
                c.sendall(b"N")
                continue
            while len(head) < length:
                head += c.recv(length - len(head))
            return head

    def _pump(self, c: socket.socket, s: socket.socket) -> None:
        sel = selectors.DefaultSelector()
        sel.register(c, selectors.EVENT_READ)
        sel.register(s, selectors.EVENT_READ)
        buf = b""
        with contextlib.closing(s):
            while True:
                for key, _ in sel.select():
                    data = key.fileobj.recv(262144)
                    if not data:
                        return
                    if key.fileobj is s:
                        self.n["bytes_in"] += len(data)
                        c.sendall(data)
                        continue
                    s.sendall(data)
                    buf += data
                    while len(buf) >= 5:
                        size = 1 + struct.unpack_from("!I", buf, 1)[0]
                        if len(buf) < size:
                            break
                        kind, body, buf = chr(buf[0]), buf[5:size], buf[size:]
                        if kind in "QE":
                            self.n["statements"] += 1
                        if kind in "QSH":
                            self.n["round_trips"] += 1
                        if self.log is not None and kind in "QP":
                            self.log.append(body.decode("utf8", "replace").strip("\0"))


# -- the engine with what a benchmark needs on top ---------------------------------------------------------------------


@dataclass
class BenchEngine(Engine):
    want_tap: bool = False
    taps: dict[str, SqlTap] = field(default_factory=dict)
    _role: str | None = None
    _db_cpu: dict[int, float] = field(default_factory=dict)
    _stop_sampling: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        super().__enter__()
        threading.Thread(target=self._sample_db, daemon=True).start()
        return self

    def environ(self):
        e = super().environ()
        if self._role and self.want_tap and self.db == "postgres":
            u = urlsplit(self.sqlalchemy_url())
            tap = self.taps.setdefault(self._role, SqlTap(u.hostname, u.port or 5432))
            e["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = u._replace(
                netloc=f"{u.username}:{u.password}@127.0.0.1:{tap.port}").geturl()
        return e

    def spawn(self, role):
        self._role = role
        try:
            return super().spawn(role)
        finally:
            self._role = None

    def stop(self):
        self._stop_sampling.set()
        ours = {pid for p in self.procs.values() for pid in tree(p.pid)}
        super().stop()
        for pid in ours & set(proc_table()):  # tasks have a process group of their own
            with contextlib.suppress(OSError):
                if f"AIRFLOW_HOME={self.home}" in open(f"/proc/{pid}/environ").read().split("\0"):
                    os.kill(pid, signal.SIGKILL)
        for t in self.taps.values():
            t.close()

    def _sample_db(self):
        """CPU seconds of this database's PostgreSQL backends (their title names the database), where they run here."""
        while self.db == "postgres" and not self._stop_sampling.wait(0.5):
            for pid in os.listdir("/proc"):
                if pid.isdigit():
                    with contextlib.suppress(OSError, IndexError, ValueError):
                        title = open(f"/proc/{pid}/cmdline", "rb").read(200)
                        if title.startswith(b"postgres: ") and f" {self.pg_name} ".encode() in title:
                            f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                            self._db_cpu[int(pid)] = (int(f[11]) + int(f[12])) / TICK

    def role(self, kind: str) -> str:
        """The name of this engine's role of a kind: ``role("scheduler")`` is ``slipstream scheduler`` in slipstream."""
        return next(r for r in ROLES[self.name] if r.endswith(" " + kind))

    def pid(self, kind: str) -> int | None:
        p = self.procs.get("airflow api-server" if kind == "api-server" else self.role(kind))
        return p.pid if p else None

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far: each kind's main process alone, each kind with all it started, and the database."""
        t, out = proc_table(), {}
        for kind in ("scheduler", "dag-processor", "api-server"):
            if pid := self.pid(kind):
                out[kind + "_own"] = t[pid][2] if pid in t else 0.0
                out[kind] = sum(t[p][2] + t[p][3] for p in tree(pid, t))
        if self.db == "postgres":
            out["database"] = sum(self._db_cpu.values())
        return out

    def ours(self) -> float:
        """CPU seconds so far of the whole deployment, of its database backends and of this benchmark."""
        t = proc_table()
        pids = {p for role in self.procs.values() for p in tree(role.pid, t)}
        return sum(t[p][2] + t[p][3] for p in pids) + sum(self._db_cpu.values()) + sum(os.times()[:4])

    def pss(self) -> dict[str, float]:
        t = proc_table()
        return {k: sum(pss_mib(p) for p in tree(pid, t))
                for k in ("scheduler", "dag-processor") if (pid := self.pid(k))}

    def sql(self, query):
        """As in ``Engine``; keeps trailing empty columns."""
        if self.db == "sqlite":
            return super().sql(query)
        out = subprocess.run(["psql", self.sqlalchemy_url().replace("+psycopg2", ""), "-XAt", "-F", "\x1f", "-c", query],
                             check=True, capture_output=True, text=True).stdout
        return [line.split("\x1f") for line in out.split("\n")[:-1]]

    def epoch(self, col: str) -> str:
        return f"extract(epoch from {col})" if self.db == "postgres" else f"(julianday({col})-2440587.5)*86400.0"

    def write(self, sql: str) -> None:
        if self.db == "postgres":
            self._psql(sql, self.sqlalchemy_url().replace("+psycopg2", ""))
        else:
            with contextlib.closing(sqlite3.connect(f"{self.home}/airflow.db", timeout=60)) as c, c:
                c.execute(sql)

    def floats(self, query: str) -> list[list]:
        def f(v):
            if v in (None, ""):
                return None
            try:
                return float(v)
            except ValueError:
                return v
        return [[f(v) for v in r] for r in self.sql(query)]

    def wait_serialised(self, n: int, limit: float = 180) -> float:
        """Wait for n Dags in the database; returns when (epoch) the last one was written."""
        deadline = time.time() + limit
        while True:
            got = self.floats(f"select count(distinct dag_id), max({self.epoch('created_at')}) from serialized_dag")[0]
            if got[0] and got[0] >= n:
                return got[1]
            if time.time() > deadline:
                raise TimeoutError(f"{got[0]} of {n} Dags serialised; import errors: "
                                   f"{self.sql('select filename, stacktrace from import_error')[:2]}")
            time.sleep(0.5)

    def unpause(self) -> float:
        """Unpause every Dag in one statement; returns when."""
        t = time.time()
        self.write("update dag set is_paused = false" if self.db == "postgres" else "update dag set is_paused = 0")
        return t

    def wait_all(self, n: int, limit: float, where: str = "1=1", poll: float = 0.7) -> int:
        """Wait until n Dag runs are finished; returns how many are not (0 unless the limit was reached)."""
        deadline = time.time() + limit
        while True:
            done = int(self.sql(f"select count(*) from dag_run where state in ('success','failed') "
                                f"and {NOT_WARM} and {where}")[0][0])
            if done >= n or time.time() > deadline:
                return max(0, n - done)
            time.sleep(poll)

    def settle(self, cpu_share: float = 0.25, limit: float = 25) -> None:
        """Wait until the deployment is at rest (start-up and first parsing are over)."""
        deadline, quiet = time.time() + limit, 0
        last = None
        while time.time() < deadline and quiet < 2:
            now = sum(v for k, v in self.cpu().items() if not k.endswith("_own"))
            quiet = quiet + 1 if last is not None and now - last < cpu_share else 0
            last = now
            time.sleep(1)

    def warm_up(self) -> None:
        """Run one task, so that no engine's figures contain the api-server's first imports, then come to rest."""
        self.trigger(WARM)
        deadline = time.time() + 60
        while time.time() < deadline:
            got = self.sql(f"select state from dag_run where dag_id='{WARM}'")
            if got and got[0][0] in ("success", "failed"):
                break
            time.sleep(0.5)
        else:
            raise TimeoutError("the warm-up run did not finish in 60 s")
        self.settle()

    def runs(self, where: str = "1=1") -> list[dict]:
        e = self.epoch
        keys = ("dag_id", "run_id", "state", "run_after", "queued", "start", "end")
        q = (f"select dag_id, run_id, state, {e('run_after')}, {e('queued_at')}, {e('start_date')}, {e('end_date')} "
             f"from dag_run where {NOT_WARM} and {where}")
        return [dict(zip(keys, r)) for r in self.floats(q)]

    def tis(self, where: str = "1=1") -> list[dict]:
        e = self.epoch
        keys = ("dag_id", "run_id", "task_id", "map_index", "state", "try", "scheduled", "queued", "start", "end")
        q = (f"select dag_id, run_id, task_id, map_index, state, try_number, {e('scheduled_dttm')}, {e('queued_dttm')}, "
             f"{e('start_date')}, {e('end_date')} from task_instance where {NOT_WARM} and {where}")
        return [dict(zip(keys, r)) for r in self.floats(q)]


# -- small statistics --------------------------------------------------------------------------------------------------


def pct(xs, p: float) -> float | None:
    xs = sorted(x for x in xs if x is not None)
    if not xs:
        return None
    i = (len(xs) - 1) * p
    lo = math.floor(i)
    return xs[lo] + (xs[min(lo + 1, len(xs) - 1)] - xs[lo]) * (i - lo)


def spread(prefix: str, xs, unit: str = "s") -> dict:
    return {f"{prefix}_p50_{unit}": pct(xs, 0.5), f"{prefix}_p95_{unit}": pct(xs, 0.95)}


def diff(a: dict, b: dict) -> dict:
    """CPU seconds between two ``cpu()`` readings, as metrics."""
    name = {"scheduler_own": "scheduler_process_cpu_s", "scheduler": "scheduler_tree_cpu_s",
            "dag-processor": "dag_processor_cpu_s", "api-server": "api_server_cpu_s", "database": "database_cpu_s"}
    return {name[k]: b[k] - a.get(k, 0) for k in name if k in b}


# -- Dag files ---------------------------------------------------------------------------------------------------------

HEAD = "from datetime import datetime\nfrom airflow.sdk import DAG\n"
EMPTY = HEAD + "from airflow.providers.standard.operators.empty import EmptyOperator\n"
PYOP = HEAD + "from airflow.providers.standard.operators.python import PythonOperator\n\n\ndef noop():\n    pass\n\n"
KW = 'schedule=None, start_date=datetime(2024, 1, 1), catchup=False'


def put(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def chain_dag(n: int, fibo: int) -> str:
    """Windmill's Airflow Dag; only the imports are those of Airflow 3."""
    return HEAD + textwrap.dedent(f"""
        from airflow.sdk import task

        ITER = {n}
        FIBO_N = {fibo}


        def fibo(n: int):
            if n <= 1:
                return n
            else:
                return fibo(n - 1) + fibo(n - 2)


        with DAG(
            dag_id="bench_{{}}".format(ITER),
            schedule=None,
            start_date=datetime(2023, 1, 1),
            catchup=False,
            tags=["benchmark"],
        ) as dag:
            for i in range(ITER):
                @task(task_id=f"task_{{i}}")
                def task_module():
                    return fibo(FIBO_N)
                fibo_task = task_module()

                if i > 0:
                    previous_task >> fibo_task
                previous_task = fibo_task
        """)


def shape_edges(shape: str, n: int) -> list[tuple[int, int]]:
    """Edges (upstream, downstream) of the shapes of Airflow's own elastic_dag.py."""
    if shape == "no_structure":
        return []
    if shape == "linear":
        return [(i, i + 1) for i in range(n - 1)]
    if shape == "binary_tree":
        return [((i - 1) // 2, i) for i in range(1, n)]
    if shape == "star":
        return [(0, i) for i in range(1, n)]
    if shape == "grid":
        side = next(s for s in range(1, 1000) if s * (s + 1) // 2 >= n)
        at = lambda i, j: side * i - i * (i - 1) // 2 + j
        return [(at(i, j), k) for i in range(side) for j in range(side - i)
                for k in ([at(i + 1, j)] if j < side - i - 1 else []) + ([at(i, j + 1)] if j < side - i - 1 else [])
                if k < n and at(i, j) < n]
    raise ValueError(shape)


SHAPES = ("no_structure", "linear", "binary_tree", "star", "grid")


def edges_dag(dag_id: str, n: int, edges, extra: str = "max_active_tasks=10000, max_active_runs=100") -> str:
    return (EMPTY + f"\nEDGES = {edges!r}\nwith DAG({dag_id!r}, {KW}, {extra}):\n"
            f"    t = [EmptyOperator(task_id=f't{{i}}') for i in range({n})]\n"
            "    for a, b in EDGES:\n        t[a] >> t[b]\n")


def one_task_dag(dag_id: str, kw: str = KW, task_kw: str = "") -> str:
    return PYOP + f"\nwith DAG({dag_id!r}, {kw}):\n    PythonOperator(task_id='t', python_callable=noop{task_kw})\n"


# -- workloads ---------------------------------------------------------------------------------------------------------


@dataclass
class Workload:
    name: str
    dags: Callable[[Path, float], int]  # writes the Dag files, returns how many Dags there are
    measure: Callable[[BenchEngine, float], dict]
    env: dict[str, str]
    manual: bool  # the measuring function starts the roles itself
    api: bool
    tap: bool
    settle: bool
    warm: bool

    @property
    def doc(self) -> str:
        return textwrap.dedent("    " + (self.measure.__doc__ or "").strip()).strip()


WORKLOADS: dict[str, Workload] = {}


def workload(dags, env=None, manual=False, api=True, tap=False, settle=True, warm=False):
    def add(fn):
        WORKLOADS[fn.__name__] = Workload(fn.__name__, dags, fn, env or {}, manual, api, tap, settle, warm)
        return fn
    return add


def n_of(base: int, scale: float, least: int = 1) -> int:
    return max(least, round(base * scale))


PAUSED = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}


def chain_figures(e: BenchEngine, dag_id: str, unfinished: int, cpu0: dict) -> dict:
    run = e.runs(f"dag_id='{dag_id}'")[0]
    t = sorted((x for x in e.tis(f"dag_id='{dag_id}'") if x["end"]), key=lambda x: int(str(x["task_id"]).split("_")[1]))
    end = run["end"] or t[-1]["end"]
    total = end - run["start"]
    pairs = list(zip(t, t[1:]))
    return {
        "total_s": total,
        "s_per_task_s": total / len(t),
        **spread("gap", [b["start"] - a["end"] for a, b in pairs]),
        "gap_max_s": max((b["start"] - a["end"] for a, b in pairs), default=None),
        # where a gap goes: noticing that the upstream ended, queueing, start of the task's process
        "end_to_scheduled_p50_s": pct([b["scheduled"] - a["end"] for a, b in pairs if b["scheduled"]], 0.5),
        "scheduled_to_queued_p50_s": pct([b["queued"] - b["scheduled"] for _, b in pairs if b["queued"] and b["scheduled"]], 0.5),
        "queued_to_start_p50_s": pct([b["start"] - b["queued"] for _, b in pairs if b["queued"]], 0.5),
        "execution_p50_s": pct([x["end"] - x["start"] for x in t], 0.5),
        "execution_share": sum(x["end"] - x["start"] for x in t) / total,
        "last_end_to_run_end_s": end - t[-1]["end"],
        "unfinished_count": unfinished,
        **diff(cpu0, e.cpu()),
    }


def chain(e: BenchEngine, scale: float, n: int, limit: float) -> dict:
    cpu0 = e.cpu()
    e.trigger(f"bench_{n}")
    left = e.wait_all(1, limit)
    time.sleep(0.6)
    return chain_figures(e, f"bench_{n}", left, cpu0)


def gen_chain(base: int, fibo: int):
    def gen(folder, scale):
        put(folder, "bench.py", chain_dag(n_of(base, scale, 2), fibo))
        return 1
    return gen


@workload(gen_chain(40, 10), warm=True)
def chain40(e, scale):
    """One run of 40 sequential ``@task`` tasks, each computing fibo(10) (about 10 ms of work).

    Measures the cost of a hop: run seconds, gap between the end of a task and the start of the next, and the share of
    the run in which a task executed. Source: Windmill's cross-engine benchmark, "40 lightweight tasks"
    (https://www.windmill.dev/docs/misc/benchmarks/competitors), which published 116.221 s for Airflow 2.7.3 on 2 vCPU.
    """
    return chain(e, scale, n_of(40, scale, 2), 240)


@workload(gen_chain(10, 33), warm=True)
def chain10(e, scale):
    """One run of 10 sequential ``@task`` tasks, each computing fibo(33) (CPU-bound for some tenths of a second).

    The same measures where execution dominates. Source: Windmill's cross-engine benchmark, "10 long-running tasks"
    (https://www.windmill.dev/docs/misc/benchmarks/competitors), which published 54.668 s for Airflow 2.7.3 on 2 vCPU.
    """
    return chain(e, scale, n_of(10, scale, 2), 240)


def fan_dag(n: int) -> str:
    return (PYOP + f"\nwith DAG('fan', {KW}, max_active_tasks=100000):\n"
            f"    for i in range({n}):\n        PythonOperator(task_id=f't{{i}}', python_callable=noop)\n")


def gen_fan(folder, scale):
    put(folder, "fan.py", fan_dag(n_of(200, scale)))
    return 1


def fan_figures(e: BenchEngine, left: int, cpu0: dict, dag_id: str = "fan") -> dict:
    cpu1 = e.cpu()
    run = e.runs(f"dag_id='{dag_id}'")[0]
    t = [x for x in e.tis(f"dag_id='{dag_id}'") if x["start"] and x["end"]]
    total = (run["end"] or max(x["end"] for x in t)) - run["start"]
    busy = sorted([(x["start"], 1) for x in t] + [(x["end"], -1) for x in t])
    level = peak = 0
    for _, d in busy:
        level += d
        peak = max(peak, level)
    return {
        "total_s": total,
        "tasks_per_s": len(t) / total,
        **spread("queued_to_start", [x["start"] - x["queued"] for x in t if x["queued"]]),
        **spread("execution", [x["end"] - x["start"] for x in t]),
        "first_start_s": min(x["start"] for x in t) - run["start"],
        "peak_running_count": peak,
        "retried_count": sum(1 for x in t if (x["try"] or 1) > 1),
        "unfinished_count": left,
        **diff(cpu0, cpu1),
    }


@workload(gen_fan, warm=True)
def fan200(e, scale):
    """One run of 200 independent no-op PythonOperator tasks, 32 slots, no Dag limit in the way.

    Measures throughput of real tasks and the wait between queueing and start. Source: the fan-out scenario of the
    hybrid-executor measurements (https://github.com/apache/airflow/pull/40017) made larger, and LocalExecutor's
    500-tasks-per-minute test (https://github.com/apache/airflow/pull/58365).
    """
    cpu0 = e.cpu()
    e.trigger("fan")
    return fan_figures(e, e.wait_all(1, 300), cpu0)


def gen_mapped(folder, scale):
    put(folder, "mapped.py", HEAD + textwrap.dedent(f"""
        from airflow.sdk import task

        with DAG("mapped", {KW}, max_active_tasks=100000):
            @task
            def one(i):
                return i

            @task
            def total(xs):
                return sum(xs)

            total(one.expand(i=list(range({n_of(500, scale)}))))
        """))
    return 1


@workload(gen_mapped, warm=True)
def mapped500(e, scale):
    """A task expanded over 500 items, then one task that sums the 500 results (the sum is checked).

    Measures dynamic task mapping: throughput, and the wait between the last mapped end and the start of the reducer.
    Source: https://github.com/apache/airflow/issues/45991 (mapped group: 100 items 70 s, 500 items 560 s).
    """
    n = n_of(500, scale)
    cpu0 = e.cpu()
    e.trigger("mapped")
    left = e.wait_all(1, 420)
    m = fan_figures(e, left, cpu0, "mapped")
    t = e.tis("dag_id='mapped'")
    ends = [x["end"] for x in t if x["task_id"] == "one" and x["end"]]
    red = [x["start"] for x in t if x["task_id"] == "total" and x["start"]]
    if red and len(ends) == n:
        m["last_mapped_to_reduce_s"] = red[0] - max(ends)
        value = e.sql("select value from xcom where dag_id='mapped' and task_id='total' and key='return_value'")
        if not value or json.loads(value[0][0]) not in (n * (n - 1) // 2, str(n * (n - 1) // 2)):
            raise AssertionError(f"wrong sum: {value}")
    return m


def gen_layers(folder, scale):
    width, layers = 10, 10
    edges = [(la * width + a, (la + 1) * width + b) for la in range(layers - 1) for a in range(width) for b in range(width)]
    put(folder, "layers.py", edges_dag("layers", width * layers, edges))
    return 1


@workload(gen_layers, env=PAUSED)
def empty2000(e, scale):
    """20 runs of a Dag of 100 EmptyOperator tasks, 10 layers of 10, each layer fully connected to the next.

    Nothing is executed: both engines only have to notice that a layer is complete and mark the next one. The runs are
    created while the Dag is paused and released in one statement. Measures task instances per second and the lag from
    "dependencies met" to the task's start. Source: the measure of Airflow's own dev/perf/scheduler_dag_execution_timing.py
    ("how quickly could we schedule tasks if they executed instantly",
    https://github.com/apache/airflow/blob/main/dev/perf/scheduler_dag_execution_timing.py).
    """
    n = n_of(20, scale)
    for _ in range(n):
        e.trigger("layers")
    time.sleep(3)
    width = 10
    up = {i: [(i // width - 1) * width + b for b in range(width)] if i >= width else [] for i in range(100)}
    return lag_figures(e, n, {"layers": up}, 240)


def lag_figures(e: BenchEngine, n_runs: int, upstream: dict[str, dict[int, list[int]]], limit: float) -> dict:
    """Release paused Dags with prepared runs, wait, and compute lags (tasks named t0, t1, ... with known upstreams)."""
    cpu0, t0 = e.cpu(), e.unpause()
    left = e.wait_all(n_runs, limit)
    time.sleep(0.6)
    cpu1 = e.cpu()
    runs = {(r["dag_id"], r["run_id"]): r for r in e.runs()}
    tis = e.tis()
    done = [t for t in tis if t["end"]]
    by_run = defaultdict(dict)
    for t in done:
        by_run[t["dag_id"], t["run_id"]][int(t["task_id"][1:])] = t
    lags = []
    for key, ts in by_run.items():
        for i, t in ts.items():
            ready = max([ts[u]["end"] for u in upstream[key[0]][i] if u in ts], default=runs[key]["start"])
            lags.append(max(0.0, t["start"] - max(ready, runs[key]["start"])))
    first = min((r["start"] for r in runs.values() if r["start"]), default=t0)
    last = max([r["end"] for r in runs.values() if r["end"]] + [t["end"] for t in done], default=first)
    if left:
        last = max(last, time.time())
    return {
        "release_to_first_run_s": first - t0,
        "release_to_all_done_s": last - t0,
        "task_instances_per_s": len(done) / max(1e-6, last - first),
        "total_lag_s": sum(lags),
        **spread("lag", lags),
        "unfinished_count": left,
        "unfinished_tasks_count": len(tis) - len(done),
        **diff(cpu0, cpu1),
    }


def upstream_of(n: int, edges) -> dict[int, list[int]]:
    up = {i: [] for i in range(n)}
    for a, b in edges:
        up[b].append(a)
    return up


def gen_wide(folder, scale):
    n = n_of(5000, scale)
    put(folder, "wide.py", edges_dag("wide", n, []))
    return 1


@workload(gen_wide, env=PAUSED)
def wide5000(e, scale):
    """One run of 5,000 EmptyOperator tasks without any dependency.

    Measures how fast one large run is worked off when nothing has to be executed. Source:
    https://github.com/apache/airflow/issues/51212 (a Dag of more than 5,000 tasks makes one scheduler loop take 18 s).
    """
    n = n_of(5000, scale)
    e.trigger("wide")
    time.sleep(3)
    return lag_figures(e, 1, {"wide": upstream_of(n, [])}, 240)


def grid_size(scale: float) -> int:
    side = n_of(99, math.sqrt(scale), 3)
    return side * (side + 1) // 2


def gen_grid(folder, scale):
    n = grid_size(scale)
    put(folder, "grid.py", edges_dag("grid", n, shape_edges("grid", n)))
    return 1


@workload(gen_grid, env=PAUSED)
def grid4950(e, scale):
    """One run of 4,950 EmptyOperator tasks in a triangular grid of side 99 (99 waves of at most 99 tasks).

    Measures a long dependency web in one run: lag of a task behind its last upstream. The run is cut after 150 s and
    the rest counted as unfinished. Sources: the shape "grid" at the size limit of Airflow's own dev/perf/dags/elastic_dag.py
    (https://github.com/apache/airflow/blob/main/dev/perf/dags/elastic_dag.py), and
    https://github.com/apache/airflow/issues/31185 (throughput when few of many tasks can be scheduled).
    """
    n = grid_size(scale)
    e.trigger("grid")
    time.sleep(3)
    return lag_figures(e, 1, {"grid": upstream_of(n, shape_edges("grid", n))}, 150)


def gen_shapes(folder, scale):
    per = n_of(100, scale, 3)
    for shape in SHAPES:
        for k in range(10):
            put(folder, f"{shape}_{k}.py", edges_dag(f"{shape}_{k}", per, shape_edges(shape, per)))
    return 50


@workload(gen_shapes, env=PAUSED)
def shapes(e, scale):
    """Five shapes of 1,000 EmptyOperator tasks (10 Dags of 100 tasks each), one shape after the other.

    Measures makespan and total task lag of no_structure, linear, binary_tree, star and grid. Source: Airflow's own
    dev/perf/dags/elastic_dag.py, and the metric "total task lag over 1,000 tasks" of Astronomer's Airflow 2.0 scheduler
    benchmark (https://www.astronomer.io/blog/airflow-2-scheduler/: linear 11.6 s, binary tree 12 s).
    """
    per, out = n_of(100, scale, 3), {}
    cpu0 = e.cpu()
    for shape in SHAPES:
        ids = [f"{shape}_{k}" for k in range(10)]
        for d in ids:
            e.trigger(d)
        up = upstream_of(per, shape_edges(shape, per))
        time.sleep(2)
        t0 = time.time()
        e.write(f"update dag set is_paused = {'false' if e.db == 'postgres' else 0} where dag_id like '{shape}!_%' escape '!'")
        where = f"dag_id like '{shape}!_%' escape '!'"
        left = e.wait_all(10, 150, where)
        runs = {r["dag_id"]: r for r in e.runs(where)}
        by, lag = defaultdict(dict), 0.0
        for t in e.tis(where):
            if t["end"]:
                by[t["dag_id"]][int(t["task_id"][1:])] = t
        for d, ts in by.items():
            lag += sum(max(0.0, t["start"] - max([ts[u]["end"] for u in up[i] if u in ts], default=runs[d]["start"]))
                       for i, t in ts.items())
        out[f"{shape}_makespan_s"] = max((r["end"] or time.time()) for r in runs.values()) - t0
        out[f"{shape}_total_lag_s"] = lag
        out["unfinished_count"] = out.get("unfinished_count", 0) + left
    return {**out, **diff(cpu0, e.cpu())}


def gen_many(overdue: bool):
    def gen(folder, scale):
        minute = (dt.datetime.now().minute + 30) % 60  # hourly, but no tick falls into the measurement
        now = dt.datetime.now(dt.timezone.utc)
        start = "2024, 1, 1" if overdue else f"{now.year}, {now.month}, {now.day}, {now.hour}, {now.minute}"
        for f in range(n_of(100, scale)):
            put(folder, f"file_{f}.py", EMPTY + textwrap.dedent(f"""
                for d in range(10):
                    with DAG(f"many_{f}_{{d}}", schedule="{minute} * * * *", start_date=datetime({start}), catchup=False):
                        a, b, c, d_, e = [EmptyOperator(task_id=f"t{{i}}") for i in range(5)]
                        a >> [b, c, d_] >> e
                """))
        return n_of(100, scale) * 10
    return gen


@workload(gen_many(overdue=False))
def many_dags(e, scale):
    """50 manual runs (5 EmptyOperator tasks each) among 1,000 hourly Dags in 100 files, of which no other is due.

    Measures seconds until the 50 runs are finished, and CPU while they run and over 30 s at rest: what carrying 1,000
    Dags costs. Source: AIP-59, whose tests vary the number of Dags and files
    (https://cwiki.apache.org/confluence/display/AIRFLOW/AIP-59+Performance+tests+framework).
    """
    k, files = n_of(50, scale), n_of(100, scale)
    cpu0, t0 = e.cpu(), time.time()
    for i in range(k):
        e.trigger(f"many_{i % files}_{i // files}")
    posted = time.time()
    left = e.wait_all(k, 150, "run_type='manual'")
    time.sleep(0.6)
    cpu1 = e.cpu()
    runs = e.runs("run_type='manual'")
    ends = [r["end"] for r in runs if r["end"]]
    time.sleep(3)
    a, ta = e.cpu(), time.time()
    time.sleep(30)
    b, tb = e.cpu(), time.time()
    return {
        "first_post_to_all_done_s": (time.time() if left else max(ends)) - t0,
        "last_post_to_all_done_s": (time.time() if left else max(ends)) - posted,
        **spread("created_to_end", [r["end"] - r["queued"] for r in runs if r["end"] and r["queued"]]),
        "other_runs_count": int(e.sql("select count(*) from dag_run where run_type <> 'manual'")[0][0]),
        "unfinished_count": left,
        **diff(cpu0, cpu1),
        "rest_scheduler_cpu_share": (b["scheduler"] - a["scheduler"]) / (tb - ta),
        "rest_dag_processor_cpu_share": (b["dag-processor"] - a["dag-processor"]) / (tb - ta),
    }


@workload(gen_many(overdue=True), env=PAUSED)
def overdue1000(e, scale):
    """1,000 hourly Dags (5 EmptyOperator tasks each, catchup=False) released at once, each with one overdue run.

    The moment after a long pause, an outage or a migration: seconds until the 1,000 runs are finished; cut after 170 s
    and the rest counted. Source: https://github.com/apache/airflow/pull/68861 (runs created in bulk are looked at before
    the ones already running, which starve).
    """
    n = n_of(100, scale) * 10
    cpu0, t0 = e.cpu(), e.unpause()
    left = e.wait_all(n, 170, "run_type='scheduled'", poll=1)
    time.sleep(0.6)
    cpu1 = e.cpu()
    rs = e.runs("run_type='scheduled'")
    last = max([r["end"] for r in rs if r["end"]], default=t0)
    return {"released_to_all_done_s": (time.time() if left else last) - t0,
            "runs_per_s": (n - left) / (last - t0) if last > t0 else None,
            **spread("start_to_end", [r["end"] - r["start"] for r in rs if r["end"] and r["start"]]),
            "created_count": len(rs), "started_count": sum(1 for r in rs if r["start"]),
            "unfinished_count": left, **diff(cpu0, cpu1)}


def parse_file(i: int, extra: int = 0) -> str:
    return textwrap.dedent(f'''\
        """Dag file {i}: what a team's file looks like."""
        import json
        from datetime import datetime, timedelta

        from airflow.providers.standard.operators.bash import BashOperator
        from airflow.providers.standard.operators.python import PythonOperator
        from airflow.sdk import DAG

        from shared_helpers.settings import default_args, table_names, transform

        CONFIG = json.loads('{{"source": "s{i}", "tables": 5}}')

        with DAG("parse_{i}", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["team{i % 7}"],
                 default_args=default_args(retries=1, delay=timedelta(minutes=5))) as dag:
            previous = None
            for name in table_names(CONFIG["source"], CONFIG["tables"]):
                extract = BashOperator(task_id=f"extract_{{name}}", bash_command="echo {{{{ ds }}}} " + name)
                load = PythonOperator(task_id=f"load_{{name}}", python_callable=transform, op_kwargs={{"table": name}})
                extract >> load
                if previous is not None:
                    previous >> extract
                previous = load
            for k in range({extra}):
                BashOperator(task_id=f"extra_{{k}}", bash_command="true")
        ''')


def gen_parse(folder, scale):
    (folder / "shared_helpers").mkdir(parents=True)
    put(folder, ".airflowignore", "shared_helpers/\n")
    (folder / "shared_helpers" / "__init__.py").write_text("")
    (folder / "shared_helpers" / "settings.py").write_text(textwrap.dedent("""\
        from datetime import timedelta


        def default_args(retries=0, delay=timedelta(minutes=1)):
            return {"owner": "bench", "retries": retries, "retry_delay": delay}


        def table_names(source, n):
            return [f"{source}_table_{i}" for i in range(n)]


        def transform(table):
            return len(table)
        """))
    for i in range(n_of(300, scale)):
        put(folder, f"parse_{i}.py", parse_file(i))
    return n_of(300, scale)


def written(e: BenchEngine, dag_id: str, after: float, limit: float) -> float | None:
    """When (epoch) this Dag was next written to serialized_dag after a moment."""
    deadline = time.time() + limit
    while time.time() < deadline:
        got = e.floats(f"select max({e.epoch('last_updated')}) from serialized_dag where dag_id='{dag_id}'")[0][0]
        if got and got > after:
            return got
        time.sleep(0.3)
    return None


# Every engine looks for new files every 5 s here: with Airflow's default of 300 s a new file takes 2.5 minutes on
# average, and that number would say nothing about the processor. Editing a known file does not depend on it.
@workload(gen_parse, env={"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
                          "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2"},
          manual=True, api=False, settle=False)
def parse300(e, scale):
    """The dag-processor alone on 300 files of one Dag with 10 tasks each, importing a helper module of the Dags folder.

    Measures seconds from process start until every Dag is serialised, CPU seconds over the following 90 s in which no
    file changes, the latency from an edit and from a new file to the database (median of three), and memory. The
    sources are https://github.com/apache/airflow/issues/17437 (5,000 files, 10 minutes until a new Dag shows) and
    https://github.com/apache/airflow/issues/38515 (files are parsed again although nothing changed).
    """
    n = n_of(300, scale)
    rest = 90 if scale >= 1 else max(15, round(90 * scale))
    t0 = time.time()
    e.spawn(e.role("dag-processor"))
    last = e.wait_serialised(n, 420)
    m = {"first_pass_s": last - t0, "files_per_s": n / (last - t0)}
    m["first_pass_cpu_s"] = e.cpu()["dag-processor"]
    time.sleep(2)
    a, ta = e.cpu(), time.time()
    time.sleep(rest)
    b, tb = e.cpu(), time.time()
    m["steady_cpu_s"] = b["dag-processor"] - a["dag-processor"]
    m["steady_cpu_share"] = m["steady_cpu_s"] / (tb - ta)
    m["steady_reparsed_count"] = int(e.sql(f"select count(*) from dag where {e.epoch('last_parsed_time')} > {ta}")[0][0])
    m["pss_dag_processor_mib"] = e.pss()["dag-processor"]
    edits, news = [], []
    for k in range(3):
        put(e.dags, f"parse_{k * 7 % n}.py", parse_file(k * 7 % n, extra=k + 1))
        t = time.time()
        got = written(e, f"parse_{k * 7 % n}", t, 90)
        edits.append(got - t if got else 90.0)
        put(e.dags, f"parse_{n + k}.py", parse_file(n + k))
        t = time.time()
        got = written(e, f"parse_{n + k}", t, 90)
        news.append(got - t if got else 90.0)
        time.sleep(random.uniform(0.5, 2.5))
    return {**m, "edit_to_db_p50_s": pct(edits, 0.5), "edit_to_db_max_s": max(edits),
            "new_file_to_db_p50_s": pct(news, 0.5), "new_file_to_db_max_s": max(news)}


def gen_idle(folder, scale):
    for i in range(n_of(50, scale)):
        put(folder, f"idle_{i}.py", edges_dag(f"idle_{i}", 10, shape_edges("linear", 10), ""))
    return n_of(50, scale)


@workload(gen_idle, tap=True)
def idle(e, scale):
    """50 Dags of 10 tasks, no runs, 60 s: what a deployment costs when it does nothing.

    Measures CPU seconds, SQL statements and round trips per minute (counted on the wire, per role), committed
    transactions (pg_stat_database), and memory as proportional set size. Source:
    https://github.com/apache/airflow/issues/53173 (Raspberry Pi with 2 Dags: many times the CPU of Airflow 2.9).
    """
    time.sleep(5)
    commits = lambda: int(e.sql("select xact_commit from pg_stat_database where datname=current_database()")[0][0]) if e.db == "postgres" else 0
    counts = lambda: {(r, k): v for r, t in e.taps.items() for k, v in t.n.items()}
    a, na, ca, ta = e.cpu(), counts(), commits(), time.time()
    time.sleep(60)
    b, nb, cb, tb = e.cpu(), counts(), commits(), time.time()
    per_min = 60 / (tb - ta)
    m = {**diff(a, b)}
    m.pop("api_server_cpu_s", None)
    for kind in ("scheduler", "dag-processor"):
        key = kind.replace("-", "_")
        for what in ("statements", "round_trips"):
            if e.taps:
                k = (e.role(kind), what)
                m[f"{key}_{what}_per_min_count"] = round((nb.get(k, 0) - na.get(k, 0)) * per_min, 1)
    if e.db == "postgres":
        m["commits_per_min_count"] = (cb - ca) * per_min
    pss = e.pss()
    t = proc_table()
    for kind in ("scheduler", "dag-processor"):
        m[f"pss_{kind.replace('-', '_')}_mib"] = pss[kind]
        m[f"{kind.replace('-', '_')}_processes_count"] = len(tree(e.pid(kind), t))
    return m


def gen_one(folder, scale):
    put(folder, "one.py", one_task_dag("one"))
    return 1


@workload(gen_one, warm=True)
def trigger_latency(e, scale):
    """30 times: at rest, POST a manual run of a one-task Dag and wait for its end.

    Measures the request's sending to the task's start and to the run's success. The pause between two requests is
    random, so that they fall anywhere in an engine's cycle. Source: the queued-to-start delays of
    https://github.com/apache/airflow/pull/11327 and https://github.com/apache/airflow/pull/11372, as a user meets them.
    """
    rng = random.Random(7)
    sent = {}
    for _ in range(n_of(30, scale, 3)):
        time.sleep(rng.uniform(1.0, 2.2))
        t = time.time()
        sent[e.trigger("one")] = t
        if e.wait_all(len(sent), 30, poll=0.25):
            break
    runs = {r["run_id"]: r for r in e.runs()}
    tis = {t["run_id"]: t for t in e.tis()}
    ok = [r for r in sent if runs[r]["end"]]
    return {
        **spread("post_to_start", [tis[r]["start"] - sent[r] for r in ok]),
        **spread("post_to_success", [runs[r]["end"] - sent[r] for r in ok]),
        "post_to_start_max_s": max(tis[r]["start"] - sent[r] for r in ok),
        "post_to_queued_p50_s": pct([tis[r]["queued"] - sent[r] for r in ok if tis[r]["queued"]], 0.5),
        "queued_to_start_p50_s": pct([tis[r]["start"] - tis[r]["queued"] for r in ok if tis[r]["queued"]], 0.5),
        "task_end_to_run_end_p50_s": pct([runs[r]["end"] - tis[r]["end"] for r in ok], 0.5),
        "unfinished_count": len(sent) - len(ok),
    }


def gen_cron(folder, scale):
    for i in range(n_of(20, scale)):
        put(folder, f"cron_{i}.py", one_task_dag(f"cron_{i}", 'schedule="* * * * *", start_date=datetime(2024, 1, 1), catchup=False'))
    return n_of(20, scale)


@workload(gen_cron, warm=True)
def cron_accuracy(e, scale):
    """20 Dags with a cron of every minute, over two minutes.

    Measures how late a run starts after the moment it was due (run_after), and how late its task starts. Source: the
    scheduler loop's documented fine-tuning (https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/scheduler.html)
    makes this depend on max_dagruns_to_create_per_loop, here Airflow's default of 10.
    """
    n = n_of(20, scale)
    time.sleep(3)
    first = (math.floor(time.time() / 60) + 1) * 60
    if first - time.time() < 3:
        first += 60
    due = f"{e.epoch('run_after')} >= {first - 1} and {e.epoch('run_after')} <= {first + 61}"
    cpu0 = e.cpu()
    time.sleep(max(0, first + 60 - time.time()))
    left = e.wait_all(2 * n, 50, due)
    runs = {(r["dag_id"], r["run_id"]): r for r in e.runs(due)}
    tis = {(t["dag_id"], t["run_id"]): t for t in e.tis()}
    late = [r["start"] - r["run_after"] for r in runs.values() if r["start"]]
    task = [tis[k]["start"] - r["run_after"] for k, r in runs.items() if k in tis and tis[k]["start"]]
    return {**spread("due_to_run_start", late), "due_to_run_start_max_s": max(late),
            **spread("due_to_task_start", task), "due_to_task_start_max_s": max(task),
            "expected_runs_missing_count": 2 * n - len(runs), "unfinished_count": left, **diff(cpu0, e.cpu())}


def gen_starve(pool: str, slots: int):
    def gen(folder, scale):
        put(folder, "heavy.py", PYOP + textwrap.dedent(f"""
            def work():
                import time
                time.sleep(0.2)


            with DAG("heavy", {KW}, max_active_tasks=10000):
                for i in range({n_of(500, scale)}):
                    PythonOperator(task_id=f"t{{i}}", python_callable=work,
                                   pool="{pool}", pool_slots={slots}, priority_weight=10)
            """))
        for i in range(n_of(20, scale)):
            put(folder, f"innocent_{i}.py", one_task_dag(f"innocent_{i}"))
        return n_of(20, scale) + 1
    return gen


def starve(e: BenchEngine, scale: float, pool: str, total_slots: int) -> dict:
    n = n_of(20, scale)
    e.write(f"insert into slot_pool (pool, slots, include_deferred) values ('{pool}', {total_slots}, {'false' if e.db == 'postgres' else 0})")
    for i in range(n):
        e.trigger(f"innocent_{i}")
    e.wait_all(n, 120, "dag_id like 'innocent%'")
    alone = e.runs("dag_id like 'innocent%'")
    e.settle(limit=10)
    e.trigger("heavy")
    time.sleep(8)  # the heavy Dag is at work
    cpu0, t0 = e.cpu(), time.time()
    for i in range(n):
        e.trigger(f"innocent_{i}")
    left = e.wait_all(2 * n, 120, "dag_id like 'innocent%'")
    beside = [r for r in e.runs("dag_id like 'innocent%'") if r["queued"] and r["queued"] > t0 - 1]
    ran = [t for t in e.tis("dag_id='heavy'") if t["end"]]
    took = [(r["end"] or time.time()) - r["queued"] for r in beside]
    t_end = max((r["end"] or time.time()) for r in beside)
    return {
        "alone_last_done_s": max(r["end"] for r in alone) - min(r["queued"] for r in alone),
        "alone_p50_s": pct([r["end"] - r["queued"] for r in alone], 0.5),
        "beside_last_done_s": t_end - t0,
        "beside_p50_s": pct(took, 0.5),
        "beside_p95_s": pct(took, 0.95),
        "heavy_tasks_done_count": len(ran),
        "heavy_tasks_per_s": len([t for t in ran if t0 <= t["end"] <= t_end]) / (t_end - t0),
        "unfinished_count": left,
        **diff(cpu0, e.cpu()),
    }


@workload(gen_starve("one_slot", 1), warm=True)
def starvation(e, scale):
    """500 runnable tasks of higher priority limited to one slot by their pool, beside 20 Dags with one task each.

    Measures how long the 20 innocent Dags take alone and beside the heavy Dag. Source:
    https://github.com/apache/airflow/issues/45636 (tasks that cannot run fill the scheduler's batch).
    """
    return starve(e, scale, "one_slot", 1)


@workload(gen_starve("odd_pool", 2), warm=True)
def starvation_fragment(e, scale):
    """As ``starvation``, in a pool of 3 slots whose tasks need 2 each: the pool never fills, yet only one task fits.

    The candidates that do not fit are never filtered out by a full pool. Source: the same issue,
    https://github.com/apache/airflow/issues/45636, with the check of ``pool_slots`` of the stock scheduler in mind.
    """
    return starve(e, scale, "odd_pool", 3)


@workload(gen_starve("busy_pool", 1), warm=True)
def starvation_pool(e, scale):
    """As ``starvation``, in a pool of 8 slots: short tasks of higher priority, so that the pool nearly always has a slot free.

    A batch of candidates then holds nothing but the heavy Dag's tasks, of which only a few fit. Source: the case as
    https://github.com/apache/airflow/issues/45636 describes it (the pool is "not starving because some of its tasks are
    short and therefore always has a few single slots free").
    """
    return starve(e, scale, "busy_pool", 8)


@workload(gen_fan, warm=True)
def memory(e, scale):
    """Memory after (and at most during) a run of 200 no-op tasks with 32 slots.

    Measures proportional set size of the scheduler (with every process it started: executor workers and tasks) and of
    the dag-processor, before, at the highest sample during, and five seconds after the run. Sources:
    https://github.com/apache/airflow/issues/56641 and https://github.com/apache/airflow/issues/57487 (32 LocalExecutor
    workers of about 120 MB).
    """
    before = e.pss()
    m = {"pss_scheduler_before_mib": before["scheduler"], "pss_dag_processor_before_mib": before["dag-processor"]}
    e.trigger("fan")
    peak, procs, deadline = 0.0, 0, time.time() + 300
    while time.time() < deadline:
        t = proc_table()
        ps = tree(e.pid("scheduler"), t)
        peak, procs = max(peak, sum(map(pss_mib, ps))), max(procs, len(ps))
        if not e.wait_all(1, 0):
            break
        time.sleep(2.5)
    time.sleep(5)
    after = e.pss()
    return {**m, "pss_scheduler_peak_mib": peak, "scheduler_processes_peak_count": procs,
            "pss_scheduler_after_mib": after["scheduler"], "pss_dag_processor_after_mib": after["dag-processor"],
            "pss_scheduler_own_after_mib": pss_mib(e.pid("scheduler")),
            "unfinished_count": e.wait_all(1, 0)}


def gen_assets(folder, scale):
    n = n_of(20, scale, 2)
    for i in range(n):
        schedule = "None" if i == 0 else f"[Asset('bench://asset/{i - 1}')]"
        put(folder, f"asset_{i}.py", PYOP + "from airflow.sdk import Asset\n" + textwrap.dedent(f"""
            with DAG("asset_{i}", schedule={schedule}, start_date=datetime(2024, 1, 1), catchup=False):
                PythonOperator(task_id="t", python_callable=noop, outlets=[Asset("bench://asset/{i}")])
            """))
    return n


@workload(gen_assets, warm=True)
def asset_latency(e, scale):
    """A chain of 20 Dags, each scheduled on the asset that the one before it produces.

    Measures the whole chain and the gap between a producer task's end and its consumer's run and task start. Source:
    Airflow's data-aware scheduling (https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/asset-scheduling.html).
    """
    n = n_of(20, scale, 2)
    cpu0 = e.cpu()
    e.trigger("asset_0")
    left = e.wait_all(n, 240)
    time.sleep(0.6)
    runs = {r["dag_id"]: r for r in e.runs()}
    t = {x["dag_id"]: x for x in e.tis()}
    ids = [f"asset_{i}" for i in range(n) if f"asset_{i}" in t and t[f"asset_{i}"]["end"]]
    pairs = list(zip(ids, ids[1:]))
    return {
        "total_s": max(r["end"] or 0 for r in runs.values()) - runs["asset_0"]["start"],
        **spread("producer_end_to_consumer_start", [t[b]["start"] - t[a]["end"] for a, b in pairs]),
        "producer_end_to_run_created_p50_s": pct([runs[b]["queued"] - t[a]["end"] for a, b in pairs if runs[b]["queued"]], 0.5),
        "run_created_to_task_queued_p50_s": pct([t[b]["queued"] - runs[b]["queued"] for _, b in pairs if t[b]["queued"] and runs[b]["queued"]], 0.5),
        "queued_to_start_p50_s": pct([t[b]["start"] - t[b]["queued"] for _, b in pairs if t[b]["queued"]], 0.5),
        "unfinished_count": left,
        **diff(cpu0, e.cpu()),
    }


# -- running -----------------------------------------------------------------------------------------------------------


def say(*a) -> None:
    print(*a, file=sys.stderr, flush=True)


def parse_engine(label: str, roles: str) -> tuple[str, bool]:
    """Label -> (name in engines.py, tuned?)."""
    base = label.split("#")[0]
    tuned = base.endswith("-tuned")
    name = base.removesuffix("-tuned")
    if name == "slipstream":
        name = {"both": "slipstream", "scheduler": "mixed-sched", "dag-processor": "mixed-dp"}[roles]
    if name not in ROLES:
        raise SystemExit(f"unknown engine {label!r}; known: {', '.join(ROLES)} (and with -tuned)")
    return name, tuned


def run_once(w: Workload, label: str, a: argparse.Namespace, extra: dict[str, str]) -> dict:
    name, tuned = parse_engine(label, a.roles)
    work = Path(tempfile.mkdtemp(prefix=f"bench-{w.name}-{label.replace('#', '-')}-", dir=a.work))
    dags = work / "dags"
    dags.mkdir()
    env = {**BASE, **extra, **w.env, **(TUNED if tuned else {}), **dict(s.split("=", 1) for s in a.set)}
    rec = {"workload": w.name, "engine": label, "started": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
           "load_before": os.getloadavg()[0]}
    t0 = time.time()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("hard limit of the workload")))
    signal.alarm(a.limit)
    try:
        n = w.dags(dags, a.scale)
        if w.warm:
            put(dags, f"{WARM}.py", one_task_dag(WARM))
            n += 1
        with BenchEngine(name, work / "home", dags, db=a.db, env=env, api=w.api,
                         roles=[] if w.manual else None, want_tap=w.tap or a.sql_tap) as e:
            if not w.manual:
                e.wait_serialised(n)
                if w.settle:
                    e.settle()
                if w.warm:
                    e.warm_up()
            others, clock = busy_seconds() - e.ours(), time.time()
            sent = {r: dict(t.n) for r, t in e.taps.items()}
            m = w.measure(e, a.scale)
            if a.sql_tap:
                for kind in ("scheduler", "dag-processor"):
                    if (r := e.role(kind)) in e.taps:
                        for what in ("statements", "round_trips"):
                            m[f"{kind.replace('-', '_')}_sql_{what}_count"] = e.taps[r].n[what] - sent.get(r, {}).get(what, 0)
            # how much of the machine something else used meanwhile: a row with much of it is not worth comparing
            rec["other_cpu_share"] = round(max(0.0, busy_seconds() - e.ours() - others)
                                           / (time.time() - clock) / len(os.sched_getaffinity(0)), 3)
            if not w.manual:
                bad = e.sql("select dag_id, task_id, state, count(*) from task_instance where state in "
                            "('failed','upstream_failed','skipped','removed') group by 1,2,3 limit 3")
                if bad:
                    rec["error"] = f"task instances not successful: {bad}"
            rec["metrics"] = {k: (round(v, 4) if isinstance(v, float) else v) for k, v in m.items()}
    except KeyboardInterrupt:
        raise
    except BaseException as x:  # a broken engine must not end the benchmark
        rec["error"] = f"{type(x).__name__}: {x}"
        say(textwrap.indent(traceback.format_exc(), "      "))
    finally:
        signal.alarm(0)
        if a.keep:
            say(f"      kept {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
            if p := extra.get("PYTHONPYCACHEPREFIX"):
                shutil.rmtree(p + str(work), ignore_errors=True)
    rec["wall_s"] = round(time.time() - t0, 1)
    return rec


def direction(metric: str) -> int:
    """-1 lower is better, +1 higher is better, 0 neither."""
    if metric.endswith("_per_s"):
        return 1
    if metric.endswith(("_s", "_mib", "_cpu_share")) or metric.endswith(("statements_per_min_count", "round_trips_per_min_count", "commits_per_min_count",
                                                                 "sql_statements_count", "sql_round_trips_count", "unfinished_count", "missing_count", "steady_reparsed_count")):
        return -1
    return 0


def num(v) -> str:
    if v is None:
        return "–"
    if isinstance(v, int) or float(v).is_integer() and abs(v) >= 100:
        return f"{int(v):,}"
    return f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.1f}" if abs(v) >= 100 else f"{v:.2f}" if abs(v) >= 1 else f"{v:.3f}"


def summarise(runs: list[dict]) -> dict:
    """workload -> metric -> engine -> {median, min, max, n}."""
    vals: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for r in runs:
        for k, v in (r.get("metrics") or {}).items():
            if v is not None:
                vals[r["workload"]][k][r["engine"]].append(v)
    return {w: {k: {e: {"median": statistics.median(x), "min": min(x), "max": max(x), "n": len(x)} for e, x in es.items()}
                for k, es in ms.items()} for w, ms in vals.items()}


def table(data: dict) -> str:
    runs = data["runs"]
    names = list(dict.fromkeys(r["engine"] for r in runs))
    base, summary = names[0], summarise(runs)
    out = []
    head = ["workload", "metric"] + [f"{n}: median (min–max)" for n in names] + [f"{base} ÷ {n}" for n in names[1:]]
    out.append("| " + " | ".join(head) + " |")
    out.append("|" + "---|" * len(head))
    for w in [w for w in WORKLOADS if w in summary]:
        for i, (metric, es) in enumerate(summary[w].items()):
            row = [f"`{w}`" if i == 0 else "", metric]
            for n in names:
                s = es.get(n)
                row.append("" if s is None else num(s["median"]) + (f" ({num(s['min'])}–{num(s['max'])})" if s["n"] > 1 else ""))
            for n in names[1:]:
                a, b, d = es.get(base), es.get(n), direction(metric)
                if not a or not b or not d or not a["median"] or not b["median"]:
                    row.append("")
                else:
                    q = a["median"] / b["median"]
                    row.append(f"{q if d < 0 else 1 / q:.2f}×")
            out.append("| " + " | ".join(row) + " |")
    errors = [f"* `{r['workload']}` on {r['engine']}: {r['error']}" for r in runs if r.get("error")]
    return "\n".join(out + (["", "Errors:"] + errors if errors else []))


def machine() -> dict:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    mem = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(mem / 2**20, 1), "kernel": platform.release(),
            "python": platform.python_version()}


def versions(db: str) -> dict:
    code = ("from importlib.metadata import version as v;import json,sys;"
            "print(json.dumps({p:v(p) for p in ('apache-airflow-core','apache-airflow-task-sdk')}|{'python':sys.version.split()[0]}))")
    out = json.loads(subprocess.run([AIRFLOW_BIN / "python", "-c", code], capture_output=True, text=True, check=True).stdout)
    if db == "postgres":
        out["postgres"] = subprocess.run(["psql", _engines.PG_ADMIN_URL, "-Atc", "show server_version"],
                                         capture_output=True, text=True).stdout.strip()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        out["slipstream"] = subprocess.run([_engines.SLIPSTREAM_BIN, "--version"], capture_output=True, text=True,
                                           timeout=10).stdout.strip()
    return out


def main(argv: list[str] | None = None) -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--engines", default="stock,slipstream", help="comma-separated; the first is the base of the ratios")
    ap.add_argument("--profile-tuned", action="store_true", help="add stock-tuned to the engines")
    ap.add_argument("--roles", choices=("both", "scheduler", "dag-processor"), default="both",
                    help="which roles slipstream replaces (the others stay stock)")
    ap.add_argument("--db", choices=("postgres", "sqlite"), default="postgres")
    ap.add_argument("--workloads", default="all", help="all, or names, comma-separated")
    ap.add_argument("--repeat", type=int, default=1)
    ap.add_argument("--scale", type=float, default=1.0, help="multiplies the number of tasks or Dags")
    ap.add_argument("--out", type=Path, help="JSON file; written after every run")
    ap.add_argument("--append", action="store_true", help="keep what --out already holds")
    ap.add_argument("--note", default="", help="a note about the machine, stored in the JSON")
    ap.add_argument("--set", action="append", default=[], metavar="VAR=VALUE", help="one more setting for every engine")
    ap.add_argument("--sql-tap", action="store_true",
                    help="count SQL statements per role in every workload (PostgreSQL; slows both engines down a little)")
    ap.add_argument("--limit", type=int, default=900, help="hard limit of one run in seconds")
    ap.add_argument("--work", default=None, help="folder for the deployments' files (default: the temporary folder)")
    ap.add_argument("--keep", action="store_true", help="do not delete the deployments' files")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--report", type=Path, metavar="JSON")
    a = ap.parse_args(argv)

    if a.list:
        for w in WORKLOADS.values():
            print(f"{w.name}\n{textwrap.indent(w.doc, '    ')}\n")
        return 0
    if a.report:
        print(table(json.loads(a.report.read_text())))
        return 0

    chosen = list(WORKLOADS) if a.workloads == "all" else a.workloads.split(",")
    if unknown := [w for w in chosen if w not in WORKLOADS]:
        ap.error(f"unknown workload {unknown}; known: {', '.join(WORKLOADS)}")
    labels = []
    for n in a.engines.split(",") + (["stock-tuned"] if a.profile_tuned and "stock-tuned" not in a.engines else []):
        labels.append(n if n not in labels else f"{n}#{1 + sum(x.split('#')[0] == n for x in labels)}")
    for n in labels:
        parse_engine(n, a.roles)

    extra = bytecode_env()
    data = {"meta": {}, "runs": []}
    if a.append and a.out and a.out.exists():
        data = json.loads(a.out.read_text())
    data["meta"].update(machine=machine(), versions=versions(a.db), db=a.db, roles=a.roles, scale=a.scale,
                        note=a.note or data["meta"].get("note", ""), settings=BASE, tuned_settings=TUNED, set=a.set,
                        date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"))
    failed = 0
    for name in chosen:
        for rep in range(a.repeat):
            for label in labels:
                say(f"[{time.strftime('%H:%M:%S')}] {name} {label} ({rep + 1}/{a.repeat})")
                rec = run_once(WORKLOADS[name], label, a, extra)
                rec["repeat"] = rep
                failed += bool(rec.get("error"))
                data["runs"].append(rec)
                say("      " + json.dumps(rec.get("metrics") or rec.get("error"))
                    + f"  [{rec['wall_s']} s, others used {rec.get('other_cpu_share')} of the machine]")
                if a.out:
                    data["summary"] = summarise(data["runs"])
                    tmp = a.out.with_suffix(".tmp")
                    tmp.write_text(json.dumps(data, indent=1) + "\n")
                    tmp.replace(a.out)
    print(table(data))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
