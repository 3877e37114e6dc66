"""A process with Airflow imported that forks one child per request.

A request is one byte with four descriptors: the child's requests, stdout, stderr and log sockets. Answers are
``{"forked": pid}``, or ``{"refused": why}``, in the order of the requests; later ``{"exited": pid, "code": n}``,
``{"exited": pid, "signal": n}`` or ``{"exited": pid, "lost": true}``. The child is Airflow's own: ``_fork_main`` with the
target of its kind. Tasks have parents of their own (``parents.py``), other children are the zygote's.

A request with one descriptor, a socket, is for a child that becomes a zygote itself, for the tasks of one Dag file
(``prepared.py``).
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from . import hello, logs, parse, preload, prepared, rehearsal, wire
from .parents import Parents, receive

if TYPE_CHECKING:
    from collections.abc import Callable


def main(sock: socket.socket, settings: dict) -> None:
    """Import, say hello, then serve until the parent closes the socket."""
    kind, skip = settings["kind"], settings["skip"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hello.survive_debug_signal()
    airflow = hello.import_airflow(sock, forks=True)
    try:
        if kind != "parse":
            # Tasks of the LocalExecutor are the scheduler's.
            from airflow.utils.process_utils import set_component_mp_start_method

            set_component_mp_start_method("scheduler")
        target, added = preload.load(kind, skip)
        channel = logs.Channel()
        if kind != "callback" and preload.REHEARSAL not in {*skip, *preload.taken}:
            with channel.muted():
                rehearsal.rehearse(kind)
            if preload.thread_count() > 1:
                added = added or preload.REHEARSAL
    except BaseException as error:
        hello.refuse(sock, hello.tail(error))
    threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1
    gc.collect()
    gc.freeze()
    hello.hello(sock, airflow, threads=threads, culprit=added)
    if threads == 1:
        with contextlib.suppress(wire.Closed, ConnectionError):
            Zygote(sock, kind, target, channel).serve()


class Zygote:
    """Forks on request and reports exits."""

    def __init__(
        self,
        sock: socket.socket,
        kind: str,
        target: Callable[[], None],
        channel: logs.Channel,
        holds: Callable[[], bool] | None = None,
    ) -> None:
        """Serve on ``sock``; a prepared zygote forks only while it ``holds``."""
        self.sock, self.kind, self.target, self.channel, self.holds = sock, kind, target, channel, holds
        self.wake_read, self.wake_write = socket.socketpair()
        self.wake_read.setblocking(False)
        self.wake_write.setblocking(False)
        self.poll = select.poll()
        self.poll.register(self.sock, select.POLLIN)
        self.poll.register(self.wake_read, select.POLLIN)
        self.own = (self.sock, self.wake_read, self.wake_write)
        self.parents = Parents(self.poll, self.own, self.become_child)

    def serve(self) -> None:
        """Serve until the socket is closed; a prepared zygote, then until the last of its tasks has ended."""
        open_for_requests = True
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write.fileno(), warn_on_full_buffer=False)
        while open_for_requests or self.parents.busy():
            ready = {fd for fd, _ in self.poll.poll()}
            for pid, status in self.parents.ended(ready):
                self.report(pid, status)
            if self.wake_read.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    while self.wake_read.recv(1024):
                        pass
                self.reap()
            if self.sock.fileno() in ready:
                try:
                    self.take_request()
                except wire.Closed:
                    if self.holds is None:
                        raise
                    open_for_requests = False
                    self.poll.unregister(self.sock)

    def take_request(self) -> None:
        """Do what is asked next, and answer."""
        fds = receive(self.sock, *([1] if self.kind == "task" else []))
        try:
            if self.holds is not None and not self.holds():
                answer: dict[str, object] = {"stale": True}
            elif len(fds) == 1:
                answer = {"forked": self.fork_prepared(fds[0])}
            else:
                answer = {"forked": self.parents.fork(fds) if self.kind == "task" else self.fork(fds)}
        except OSError as error:
            answer = {"refused": str(error)}
        wire.write(self.sock, answer)
        for fd in fds:
            os.close(fd)

    def fork_prepared(self, fd: int) -> int:
        """Fork a process that parses a Dag file and serves on ``fd``; return its process id."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for sock in (*self.own, *(sock for sock, _ in self.parents.all.values())):
                sock.close()
            sock = socket.socket(fileno=fd)
            holds = prepared.prepare(sock, self.channel)
            with contextlib.suppress(wire.Closed, ConnectionError):
                Zygote(sock, self.kind, self.target, self.channel, holds).serve()
        finally:
            os._exit(0)

    def fork(self, fds: list[int]) -> int:
        """Fork a child; return its process id."""
        pid = os.fork()
        if pid == 0:
            self.become_child(fds)
        # Also from this side, so that the group exists before anyone can signal it.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return pid

    def reap(self) -> None:
        """Report every child that has ended; of a task's parent nothing need be said."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.kind != "task":
                self.report(pid, status)

    def report(self, pid: int, status: int | None) -> None:
        """Tell how a child ended."""
        if status is None:
            wire.write(self.sock, {"exited": pid, "lost": True})
        elif os.WIFSIGNALED(status):
            wire.write(self.sock, {"exited": pid, "signal": os.WTERMSIG(status)})
        else:
            wire.write(self.sock, {"exited": pid, "code": os.WEXITSTATUS(status)})

    def become_child(self, fds: list[int]) -> NoReturn:
        """Turn the fork into Airflow's child process; never return."""
        try:
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for sock in self.own:
                sock.close()
            if self.kind != "task":
                # A task outlives its zygote, a parse does not.
                hello.die_with_parent(signal.SIGKILL)
            self.channel.take(fds[3])
            if self.kind == "parse":
                os.environ[parse.LOG_FD] = str(self.channel.fd)
            os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
            from airflow.sdk.execution_time.supervisor import _fork_main

            hello.trace()
            requests, stdout, stderr = (socket.socket(fileno=fd) for fd in fds[:3])
            # Without a log socket: logging is set up already.
            _fork_main(requests, stdout, stderr, 0, self.channel.wrap(self.target))
        except BaseException:
            # Where Airflow's supervisor says it, with its exit code.
            sys.stderr.write("Exception in child process, exiting with code 124\n")
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(124)
        finally:
            os._exit(127)
