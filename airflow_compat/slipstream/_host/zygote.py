"""A process with Airflow imported that forks one child per request.

A request is one byte with four descriptors: the child's requests, stdout, stderr and log sockets. Answers are
``{"forked": pid}``, or ``{"refused": why}``, in the order of the requests; later ``{"exited": pid, "code": n}``,
``{"exited": pid, "signal": n}`` or ``{"exited": pid, "lost": true}``. The child is Airflow's own: ``_fork_main`` with the
target of its kind.

A task gets a parent process of its own, as it has under Airflow's supervisor: what a task does to its parent is of no
concern to the zygote and to other tasks. If that parent is killed, the task is lost.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING, NoReturn

from . import hello, parse, preload, wire

if TYPE_CHECKING:
    from collections.abc import Callable

FDS = 4
NUMBER = struct.Struct("i")

# By the process id of a task's parent: the task's process id, and where the parent tells how it ended.
GUARDED: dict[int, tuple[int, int]] = {}


def main(sock: socket.socket, settings: dict) -> None:
    """Import, say hello, then serve until the parent closes the socket."""
    kind, skip = settings["kind"], settings["skip"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    airflow = hello.import_airflow(sock)
    try:
        target, added = preload.load(kind, skip)
    except BaseException as error:
        hello.refuse(sock, hello.tail(error))
    threads = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1
    gc.collect()
    gc.freeze()
    hello.hello(sock, airflow, threads=threads, culprit=added)
    if threads == 1:
        with contextlib.suppress(wire.Closed, ConnectionError):
            serve(sock, kind, target)


def serve(sock: socket.socket, kind: str, target: Callable[[], None]) -> None:
    """Fork on request and report exits."""
    wake_read, wake_write = socket.socketpair()
    wake_read.setblocking(False)
    wake_write.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([sock, wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                while wake_read.recv(1024):
                    pass
            reap(sock)
        if sock in ready:
            fds = receive(sock)
            own = (sock, wake_read, wake_write)
            try:
                if kind == "task":
                    pid = fork_guarded(target, fds, own)
                else:
                    pid = os.fork()
            except OSError as error:
                wire.write(sock, {"refused": str(error)})
            else:
                if pid == 0:
                    become_child(kind, target, fds, own)
                # Also from this side, so that the group exists before anyone can signal it.
                with contextlib.suppress(OSError):
                    os.setpgid(pid, pid)
                wire.write(sock, {"forked": pid})
            for fd in fds:
                os.close(fd)


def fork_guarded(target: Callable[[], None], fds: list[int], own: tuple[socket.socket, ...]) -> int:
    """Fork a task below a parent of its own; return the task's process id."""
    read, write = os.pipe()
    try:
        guardian = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if guardian == 0:
        guard(target, fds, own, write)
    os.close(write)
    number = os.read(read, NUMBER.size)
    if len(number) < NUMBER.size:
        os.close(read)
        raise OSError("a task's process could not be forked")
    (pid,) = NUMBER.unpack(number)
    GUARDED[guardian] = (pid, read)
    return pid


def guard(target: Callable[[], None], fds: list[int], own: tuple[socket.socket, ...], write: int) -> NoReturn:
    """Fork the task, tell its process id, wait for it, tell how it ended; never return."""
    try:
        # In a group of its own, as the task: the zygote's group has only what its parent waits for.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for _, read in GUARDED.values():
            os.close(read)
        pid = os.fork()
        if pid == 0:
            os.close(write)
            become_child("task", target, fds, own)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        for sock in own:
            sock.close()
        for fd in fds:
            os.close(fd)
        os.write(write, NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(write, NUMBER.pack(status))
    finally:
        os._exit(0)


def receive(sock: socket.socket) -> list[int]:
    """Take one request's descriptors."""
    data, fds, _, _ = socket.recv_fds(sock, 1, FDS)
    if not data:
        raise wire.Closed
    if len(fds) != FDS:
        raise RuntimeError(f"a fork request must carry {FDS} descriptors, it carries {len(fds)}")
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds


def reap(sock: socket.socket) -> None:
    """Report every child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in GUARDED:
            pid, read = GUARDED.pop(pid)
            told = os.read(read, NUMBER.size)
            os.close(read)
            if len(told) < NUMBER.size:
                wire.write(sock, {"exited": pid, "lost": True})
                continue
            (status,) = NUMBER.unpack(told)
        if os.WIFSIGNALED(status):
            wire.write(sock, {"exited": pid, "signal": os.WTERMSIG(status)})
        else:
            wire.write(sock, {"exited": pid, "code": os.WEXITSTATUS(status)})


def become_child(
    kind: str, target: Callable[[], None], fds: list[int], own: tuple[socket.socket, ...]
) -> NoReturn:
    """Turn the fork into Airflow's child process; never return."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in own:
            sock.close()
        if kind != "task":
            # A task outlives its zygote, a parse does not.
            hello.die_with_parent(signal.SIGKILL)
        if kind == "parse":
            os.environ[parse.LOG_FD] = str(fds[3])
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
        from airflow.sdk.execution_time.supervisor import _fork_main

        requests, stdout, stderr = (socket.socket(fileno=fd) for fd in fds[:3])
        _fork_main(requests, stdout, stderr, fds[3], target)
    finally:
        os._exit(127)
