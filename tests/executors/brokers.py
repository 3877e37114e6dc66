"""Private message brokers for tests: real servers of Debian's packages, in temporary directories, on free ports of 127.0.0.1.

What is missing is installed with apt-get, without letting the package start a server of its own.
"""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def install(package: str, program: str) -> None:
    """Make sure that a program is there."""
    if Path(program).exists():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"{package} is needed: install it ({program} is not there)")
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        quiet = {"stdout": subprocess.DEVNULL, "check": True, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "-qq", "update"], **quiet)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", package], **quiet)
    finally:
        if ours:
            POLICY.unlink()


class Server(abc.ABC):
    """A server in a directory of its own that can be stopped and started again on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="slipstream-broker-"))
        self.process: subprocess.Popen | None = None

    @abc.abstractmethod
    def command(self) -> tuple[list[str], dict[str, str]]:
        """What starts it, and with which environment."""

    def start(self) -> None:
        command, env = self.command()
        log = open(self.home / "log", "ab")
        self.process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, cwd=self.home,
        )
        deadline = time.time() + 90
        while not self.answers():
            if self.process.poll() is not None or time.time() > deadline:
                sys.exit(f"{command[0]} did not start: {(self.home / 'log').read_text()[-3000:]}")
            time.sleep(0.2)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as s:
            s.sendall(self.hello)
            s.settimeout(2)
            return bool(s.recv(1))
        return False

    hello = b""

    def kill(self, sig: int = signal.SIGKILL) -> None:
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc) -> None:
        self.kill(signal.SIGTERM)
        shutil.rmtree(self.home, ignore_errors=True)


class Redis(Server):
    """Redis that keeps what it was told, so that it can be restarted."""

    hello = b"PING\r\n"

    def command(self):
        install("redis-server", "/usr/bin/redis-server")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home), "--appendonly", "yes"]
        return ["/usr/bin/redis-server", *options, "--appendfsync", "always"], {}

    def url(self, db: int = 0, port: int | None = None) -> str:
        return f"redis://127.0.0.1:{port or self.port}/{db}"


class RabbitMQ(Server):
    """RabbitMQ, with a node name, a cookie and an epmd of its own."""

    hello = b"AMQP\x00\x00\x09\x01"

    def __init__(self) -> None:
        super().__init__()
        self.epmd_port, self.dist_port = free_port(), free_port()

    def command(self):
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        install("rabbitmq-server", server)
        (self.home / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (self.home / "plugins").write_text("[].\n")
        return [server], {
            "HOME": str(self.home),
            "RABBITMQ_NODENAME": f"slipstream{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.home / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def __exit__(self, *exc) -> None:
        self.kill(signal.SIGTERM)
        # Erlang's port mapper makes itself a daemon.
        epmd = shutil.which("epmd") or "/usr/bin/epmd"
        subprocess.run([epmd, "-port", str(self.epmd_port), "-kill"], capture_output=True, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


class Proxy:
    """A TCP proxy on 127.0.0.1 that can stall (connections stay, nothing moves) or refuse."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        self.flows.wait()
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        self.flows.clear()

    def flow(self) -> None:
        self.flows.set()

    def close(self) -> None:
        self.flow()
        self.listener.close()
