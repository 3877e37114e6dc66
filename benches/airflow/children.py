"""CPU time and page faults of one task or parse process: plays Slipstream's part for a zygote, without a database.

    .venv/bin/python benches/airflow/children.py task 40
    .venv/bin/python benches/airflow/children.py prepared 40 --operators 2
    .venv/bin/python benches/airflow/children.py parse 40 --host OTHER/airflow_compat/slipstream/_host

``prepared`` is a task forked from a process that has parsed its Dag file.

With ``--host`` (more than once), versions of the Python host take turns, so that a busy machine treats them alike: the
ratio counts. Run it with the Python of the Airflow environment. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import uuid
from datetime import datetime, timezone
from pathlib import Path

import msgspec

HOST = Path(__file__).resolve().parents[2] / "airflow_compat/slipstream/_host"
WARM_UP = 3
TASKS = 200
TICKS = os.sysconf("SC_CLK_TCK")

FAN = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator

def noop():
    pass

with DAG("fan", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for i in range(TASKS):
        PythonOperator(task_id=f"t{i}", python_callable=noop)
"""

TEN = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator

with DAG("ten", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    for i in range(5):
        BashOperator(task_id=f"b{i}", bash_command="true") >> PythonOperator(task_id=f"p{i}", python_callable=print)
"""


def take(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def read(sock: socket.socket) -> dict:
    size, attached = struct.unpack(">II", take(sock, 8))
    message = json.loads(take(sock, size))
    take(sock, attached)
    return message


def send_frame(sock: socket.socket, *parts: object) -> None:
    data = msgspec.msgpack.encode(parts)
    sock.sendall(struct.pack(">I", len(data)) + data)


def start(host: Path, kind: str, home: Path) -> tuple[subprocess.Popen, socket.socket]:
    """Start a zygote as Slipstream does."""
    sources = {"_slipstream_host": (host / "__init__.py").read_text()}
    for file in host.rglob("*.py"):
        name = ".".join(file.relative_to(host).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("__init__", "bootstrap"):
            sources[f"_slipstream_host.{name}"] = file.read_text()
    ours, theirs = socket.socketpair()
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [sys.executable, "-c", (host / "bootstrap.py").read_text()]
    process = subprocess.Popen(command, stdin=theirs, env=env, stdout=subprocess.DEVNULL)
    theirs.close()
    role = {"role": "zygote", "settings": {"kind": kind, "skip": []}, "argv": ["worker"]}
    # The dag processor's is forked; a version of the host from before that has no such process.
    forked = kind == "parse" and (host / "ancestor.py").exists()
    first = {"role": "ancestor", "settings": {"skip": []}, "argv": ["scheduler"]} if forked else role
    data = json.dumps({**first, "sources": sources, "public": {}}).encode()
    ours.sendall(struct.pack(">I", len(data)) + data)
    wait_until_ready(ours)
    return process, fork_from(ours, role) if forked else ours


def wait_until_ready(sock: socket.socket) -> None:
    """Wait for a process of the host."""
    hello = read(sock)
    if "ready" not in hello:
        sys.exit(f"a process of the host did not start: {hello}")


def fork_from(ancestor: socket.socket, role: dict) -> socket.socket:
    """Let an ancestor fork a process; return that one's socket, with which the ancestor's is kept."""
    ours, theirs = socket.socketpair()
    socket.send_fds(ancestor, [struct.pack("i", 0)], [theirs.fileno()])
    theirs.close()
    read(ours)
    send_message(ours, role)
    wait_until_ready(ours)
    ANCESTORS[ours] = ancestor
    return ours


ANCESTORS: dict[socket.socket, socket.socket] = {}
"""The socket of the ancestor of each zygote that has one."""


def send_message(sock: socket.socket, message: dict) -> None:
    data = json.dumps(message).encode()
    sock.sendall(struct.pack(">II", len(data), 0) + data)


def startup(now: datetime) -> dict:
    """Return what a task's supervisor sends first."""
    ti = {"id": str(uuid.uuid4()), "task_id": "t1", "dag_id": "fan", "run_id": "r", "try_number": 1, "map_index": -1}
    ti |= {"dag_version_id": str(uuid.uuid4()), "hostname": "h", "pool_slots": 1, "queue": "default", "priority_weight": 1}
    run = {"dag_id": "fan", "run_id": "r", "logical_date": now, "data_interval_start": now, "data_interval_end": now}
    run |= {"run_after": now, "start_date": now, "end_date": None, "clear_number": 0, "run_type": "manual", "state": "running", "conf": {}}
    run |= {"consumed_asset_events": [], "partition_key": None, "triggering_user_name": None}
    context = {"dag_run": run, "task_reschedule_count": 0, "max_tries": 0, "should_retry": False}
    context |= {"variables": [], "connections": [], "xcom_keys_to_clear": [], "next_method": None, "next_kwargs": None}
    bundle = {"name": "dags-folder", "version": None}
    body = {"type": "StartupDetails", "ti": ti, "dag_rel_path": "fan.py", "bundle_info": bundle, "start_date": now}
    return body | {"ti_context": context, "sentry_integration": ""}


def prepare(zygote: socket.socket) -> socket.socket:
    """Let the zygote prepare the Dag file; return the socket of the process from which its tasks are forked."""
    ours, theirs = socket.socketpair()
    socket.send_fds(zygote, [b"p"], [theirs.fileno()])
    theirs.close()
    send_message(ours, {"bundle_info": {"name": "dags-folder", "version": None}, "dag_rel_path": "fan.py"})
    answer = read(ours)
    if "ready" not in answer:
        sys.exit(f"the Dag file is not prepared: {answer}")
    read(zygote)
    return ours


def request(kind: str, home: Path) -> dict:
    """Return the first frame's body."""
    if kind != "parse":
        return startup(datetime.now(tz=timezone.utc))
    place = {"file": str(home / "dags/ten.py"), "bundle_path": str(home / "dags"), "bundle_name": "dags-folder"}
    return {"type": "DagFileParseRequest", **place, "callback_requests": []}


def run_child(zygote: socket.socket, body: dict) -> set[str]:
    """Fork one child, answer everything it asks with nothing, wait for its end; return what it asked."""
    pairs = [socket.socketpair() for _ in range(4)]
    socket.send_fds(zygote, [b"f"], [theirs.fileno() for _, theirs in pairs])
    for _, theirs in pairs:
        theirs.close()
    requests, *outputs = (ours for ours, _ in pairs)
    send_frame(requests, 0, body)
    poll, asked = select.poll(), set()
    still_open = {sock.fileno(): sock for sock in (requests, *outputs)}
    for sock in still_open.values():
        poll.register(sock, select.POLLIN)
    while still_open:
        for fd, _ in poll.poll():
            sock = still_open[fd]
            try:
                if sock is requests:
                    frame = msgspec.msgpack.decode(take(sock, struct.unpack(">I", take(sock, 4))[0]))
                    asked.add(frame[1]["type"])
                    send_frame(sock, frame[0], None)
                elif not sock.recv(65536):
                    raise EOFError
            except (EOFError, ConnectionError):
                poll.unregister(fd)
                still_open.pop(fd).close()
    while "exited" not in read(zygote):
        pass
    return asked


def spent(pid: int) -> tuple[float, int]:
    """Return the CPU seconds and page faults of a process, its children and those they waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    seconds, faults = sum(map(int, fields[11:15])) / TICKS, sum(map(int, fields[7:9]))
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        more = spent(int(child))
        seconds, faults = seconds + more[0], faults + more[1]
    return seconds, faults


def measure(host: Path, kind: str, count: int, home: Path) -> str:
    """Run ``count`` children and say what each cost."""
    process, zygote = start(host, "parse" if kind == "parse" else "task", home)
    expected = "DagFileParsingResult" if kind == "parse" else "SucceedTask"
    if kind == "prepared":
        zygote_itself, zygote = zygote, prepare(zygote)
    for i in range(WARM_UP + count):
        if i == WARM_UP:
            before = spent(process.pid)
        if expected not in run_child(zygote, request(kind, home)):
            sys.exit("a child did not end well")
    after = spent(process.pid)
    zygote.close()
    if kind == "prepared":
        zygote_itself.close()
    elif zygote in ANCESTORS:
        ANCESTORS.pop(zygote).close()
    process.wait()
    return f"{(after[0] - before[0]) * 1000 / count:6.1f} ms CPU, {(after[1] - before[1]) / count:6.0f} page faults"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("task", "prepared", "parse"))
    parser.add_argument("count", type=int)
    parser.add_argument("--host", type=Path, action="append", help="folder of a version of the host (default: this one)")
    parser.add_argument("--operators", type=int, default=TASKS, help="how many operators the task's Dag file has")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "dags").mkdir()
        (home / "dags/fan.py").write_text(FAN.replace("TASKS", str(args.operators)))
        (home / "dags/ten.py").write_text(TEN)
        for _ in range(args.rounds):
            for host in args.host or [HOST]:
                print(f"{measure(host, args.kind, args.count, home)} per {args.kind} process  {host}", flush=True)


if __name__ == "__main__":
    main()
