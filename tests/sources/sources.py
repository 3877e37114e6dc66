"""Kafka and NATS JetStream feed a whole deployment: messages start Dags, and none is lost or taken twice while the scheduler
is killed with SIGKILL again and again.

Usage: ``python tests/sources/sources.py [sqlite|postgres]`` with ``SLIPSTREAM_BIN`` naming the binary. Exits with 1 and says
what is wrong.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/conformance"))
sys.path.insert(0, str(ROOT / "tests/events"))

import engines  # noqa: E402
from tasks import Deployment, wait_for  # noqa: E402

MESSAGES = 300
KILLS = 4
ROLE = "slipstream scheduler"


class Kafka:
    """A cluster in a process of its own."""

    def __init__(self) -> None:
        script = [str(HERE / "kafka_client.sh"), str(ROOT / ".cache/kafka-client")]
        python = subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()
        self.process = subprocess.Popen(
            [python, str(HERE / "kafka_cluster.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.brokers = self.process.stdout.readline().strip()
        assert self.brokers, "the Kafka cluster did not start"

    def send(self, key: str, value: object) -> None:
        """Send a message; it is there when this returns."""
        self.process.stdin.write(json.dumps({"key": key, "value": value}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "ok"

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class Nats:
    """A server with a stream, and a connection with it that speaks NATS's plain protocol."""

    def __init__(self, folder: Path) -> None:
        program = subprocess.run([ROOT / "tests/support/nats_server.sh"], check=True, capture_output=True, text=True)
        self.port = engines.free_port()
        self.process = subprocess.Popen(
            [program.stdout.strip(), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
                break
            except OSError:
                assert time.monotonic() < end, "nats-server did not start"
                time.sleep(0.05)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"lang":"python","version":"1"}\r\nSUB inbox 1\r\n')
        made = self.ask("$JS.API.STREAM.CREATE.HALLS", {"name": "HALLS", "subjects": ["hall.>"], "storage": "file"})
        assert "error" not in made, made

    def ask(self, subject: str, body: object) -> dict:
        """Send a message and return the answer: of JetStream, that it is stored."""
        data = json.dumps(body).encode()
        self.socket.sendall(f"PUB {subject} inbox {len(data)}\r\n".encode() + data + b"\r\n")
        while True:
            line = self.lines.readline()
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith(b"MSG"):
                length = int(line.split()[-1])
                return json.loads(self.lines.read(length + 2)[:length])
            else:
                assert line, "nats-server closed the connection"

    def send(self, subject: str, value: object) -> None:
        """Send a message; it is stored when this returns."""
        assert "seq" in self.ask(subject, value)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def sources(kafka: Kafka, nats: Nats) -> str:
    """The option of the scheduler."""
    return json.dumps({
        "orders": {"kind": "kafka", "brokers": kafka.brokers, "topics": "orders", "type": "order.placed",
                   "start": "earliest"},
        "halls": {"kind": "nats", "servers": f"nats://127.0.0.1:{nats.port}", "stream": "HALLS", "type": "reading",
                  "start": "earliest"},
    })


def play(test: Deployment, kafka: Kafka, nats: Nats) -> None:
    """Messages that start runs, then many, with kills in between."""
    engine = test.engine
    wait_for("both triggers are known", lambda: test.triggers() == 2)
    kafka.send("A-17", {"start": True, "number": -1})
    nats.send("hall.7", {"start": True, "number": -1})
    for source, key in (("kafka", "A-17"), ("nats", "hall.7")):
        wait_for(
            f"a message of {source} made a run that succeeded",
            lambda: engine.sql(f"SELECT state FROM dag_run WHERE dag_id = 'from_{source}'") == [["success"]],
        )
        event = json.loads((test.out / source).read_text())
        assert event["key"] == key and event["data"]["number"] == -1, event

    for number in range(MESSAGES):
        kafka.send("k", {"start": False, "number": number})
        nats.send("hall.1", {"start": False, "number": number})
        if number % (MESSAGES // KILLS) == MESSAGES // KILLS // 2:
            engine.kill(ROLE, signal.SIGKILL)
            engine.spawn(ROLE)
    for event_type in ("order.placed", "reading"):
        wanted = f"SELECT data FROM slipstream_event WHERE type = '{event_type}' ORDER BY position"

        def numbers() -> list[int]:
            data = [json.loads(row[0]) for row in engine.sql(wanted)]
            return [one["number"] for one in data if isinstance(one, dict)]

        wait_for(f"all of {event_type} is there", lambda: len(numbers()) > MESSAGES)
        assert numbers() == [-1, *range(MESSAGES)], f"{event_type}: {numbers()}"
    for source in ("kafka", "nats"):
        assert test.number(f"SELECT count(*) FROM dag_run WHERE dag_id = 'from_{source}'") == 1

    shown = subprocess.run(
        [engines.SLIPSTREAM_BIN, "events", "sources", "--output", "json"],
        env=engine.environ(), check=True, capture_output=True, text=True,
    )
    rows = {row["name"]: row for row in map(json.loads, shown.stdout.splitlines())}
    assert rows["orders"]["taken"] == MESSAGES + 2 and rows["halls"]["taken"] == MESSAGES + 1, rows
    assert {row["state"] for row in rows.values()} == {"reading"}, rows


def main() -> None:
    """Run on one database."""
    db = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    folder = Path(tempfile.mkdtemp(prefix="slipstream-sources-"))
    out = folder / "out"
    out.mkdir()
    kafka, nats = Kafka(), Nats(folder / "nats")
    try:
        engine = engines.Engine(
            "slipstream",
            folder / "home",
            HERE / "dags",
            db=db,
            api=False,
            roles=[ROLE, "slipstream dag-processor"],
            env={
                "SOURCES_TEST_OUT": str(out),
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__SLIPSTREAM__SOURCES": sources(kafka, nats),
            },
        )
        with engine:
            play(Deployment(engine, out), kafka, nats)
    finally:
        kafka.stop()
        nats.stop()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"sources, {db}: ok ({MESSAGES} messages each, {KILLS} kills)")


if __name__ == "__main__":
    main()
