"""A process with Airflow loaded that does nothing but fork others, which share its pages: services and a zygote.

A request is one number. 0 comes with a descriptor, the socket of a new process: that says ``{"forked": pid}`` on it, or
the ancestor ``{"refused": why}``; then it is told ``{"role", "settings", "argv"}`` and goes on as if it had been
started by itself. Any other number is a process that is to end. All of them end with the ancestor.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import struct
import sys

# The roles too, so that they are compiled once.
from . import hello, preload, service, wire, zygote  # noqa: F401

NUMBER = struct.Struct("i")


def main(sock: socket.socket, settings: dict) -> None:
    """Load Airflow, say hello, fork until the parent closes the socket; in a forked process, play its role."""
    hello.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hello.survive_debug_signal()
    # What is loaded stays: to look through it again and again meanwhile takes a tenth of the time.
    gc.disable()
    airflow = hello.import_airflow(sock, forks=True)
    try:
        culprit = preload.load_shared(settings["skip"])
    except BaseException as error:
        hello.refuse(sock, hello.tail(error))
    gc.collect()
    gc.freeze()
    gc.enable()
    threads = preload.thread_count()
    hello.hello(sock, airflow, threads=threads, culprit=culprit)
    forked = Ancestor(sock).serve() if threads == 1 else None
    if forked is not None:
        with contextlib.suppress(wire.Closed, ConnectionError):
            play(forked)


def play(sock: socket.socket) -> None:
    """Play the role that this process is told on its socket."""
    hello.die_with_parent(signal.SIGKILL)
    wire.write(sock, {"forked": os.getpid()})
    start, _ = wire.read(sock)
    sys.argv[1:] = start["argv"]
    importlib.import_module(f".{start['role']}", __package__).main(sock, start["settings"])


class Ancestor:
    """Forks and ends on request."""

    def __init__(self, sock: socket.socket) -> None:
        """Serve on ``sock``."""
        self.sock = sock
        # Nobody is waited for unasked: a number of these can be no other process's.
        self.forked: set[int] = set()
        self.ending: set[int] = set()

    def serve(self) -> socket.socket | None:
        """Serve until the socket is closed; return in each forked process, with its socket."""
        while True:
            number, fds = self.receive()
            if number is None:
                return None
            self.bury()
            if number in self.forked:
                os.kill(number, signal.SIGKILL)
                self.forked.remove(number)
                self.ending.add(number)
            for fd in fds:
                sock = socket.socket(fileno=fd)
                if self.fork(sock):
                    return sock
                sock.close()

    def receive(self) -> tuple[int | None, list[int]]:
        """Read a request; no number when there will be none."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, NUMBER.size, 1)
        except ConnectionError:
            return None, []
        return (NUMBER.unpack(data)[0] if len(data) == NUMBER.size else None), fds

    def fork(self, sock: socket.socket) -> bool:
        """Fork a process for ``sock``; return whether this is it."""
        try:
            pid = os.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                wire.write(sock, {"refused": str(error)})
            return False
        if pid == 0:
            self.sock.close()
            return True
        self.forked.add(pid)
        return False

    def bury(self) -> None:
        """Wait for what has ended, but not for what the kernel cannot end yet."""
        for pid in list(self.ending):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.ending.remove(pid)
