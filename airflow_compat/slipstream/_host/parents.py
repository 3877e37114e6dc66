"""The parents of tasks.

A task has a parent process of its own, as it has under Airflow's supervisor: what a task does to its parent is of no
concern to the zygote and to other tasks. If that parent is killed, the task is lost.

A parent has one task at a time, and its next one when that has ended: a task costs one fork, not two. It does nothing
but fork and wait, so that all its tasks begin alike.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
from typing import TYPE_CHECKING, NoReturn

from . import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FDS = 4
"""How many descriptors a request carries: the child's requests, stdout, stderr and log sockets."""

KEPT = 4
"""How many parents without a task are kept."""

NUMBER = struct.Struct("i")


def receive(sock: socket.socket, *also: int) -> list[int]:
    """Take one request's descriptors; ``also``: how many there may be instead."""
    data, fds, _, _ = socket.recv_fds(sock, 1, FDS)
    if not data:
        raise wire.Closed
    if len(fds) not in (FDS, *also):
        raise RuntimeError(f"a fork request must carry {FDS} descriptors, it carries {len(fds)}")
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds


def number(sock: socket.socket) -> int | None:
    """Read a parent's next word; ``None`` when it is gone."""
    try:
        data = sock.recv(NUMBER.size)
    except ConnectionError:
        return None
    return NUMBER.unpack(data)[0] if len(data) == NUMBER.size else None


class Parents:
    """The parents that a zygote has."""

    def __init__(self, poll: select.poll, own: tuple[socket.socket, ...], child: Callable[[list[int]], NoReturn]) -> None:
        """Keep what a new parent must not keep (``own``) and what its tasks run (``child``)."""
        self.poll, self.own, self.child = poll, own, child
        # By the descriptor of the socket to them: the socket, and the task's process id while there is one.
        self.all: dict[int, tuple[socket.socket, int | None]] = {}
        self.idle: list[int] = []

    def fork(self, fds: list[int]) -> int:
        """Fork a task; return its process id."""
        while True:
            fresh = not self.idle
            fd = self.add(fds) if fresh else self.idle.pop()
            sock, _ = self.all[fd]
            pid = None
            with contextlib.suppress(ConnectionError):
                socket.send_fds(sock, [b"f"], fds)
                pid = number(sock)
            if pid is not None and pid > 0:
                self.all[fd] = (sock, pid)
                return pid
            if pid is not None:
                self.idle.append(fd)
                raise OSError(-pid, os.strerror(-pid))
            self.drop(fd)
            if fresh:
                raise OSError("a task's process could not be forked")

    def add(self, fds: list[int]) -> int:
        """Fork a parent, which keeps none of ``fds``; return the descriptor of the socket to it."""
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            for sock in (*self.own, ours, *(sock for sock, _ in self.all.values())):
                sock.close()
            for fd in fds:
                os.close(fd)
            serve(theirs, self.child)
        theirs.close()
        self.all[ours.fileno()] = (ours, None)
        self.poll.register(ours, select.POLLIN)
        return ours.fileno()

    def busy(self) -> bool:
        """Whether a task runs."""
        return len(self.idle) < len(self.all)

    def drop(self, fd: int) -> None:
        """Forget a parent; without a task it ends."""
        self.poll.unregister(fd)
        self.all.pop(fd)[0].close()
        with contextlib.suppress(ValueError):
            self.idle.remove(fd)

    def ended(self, fds: set[int]) -> Iterator[tuple[int, int | None]]:
        """Yield the tasks that ended, of these parents that have something to say, each with its status if it is known."""
        for fd in fds & self.all.keys():
            sock, pid = self.all[fd]
            status = number(sock)
            if pid is not None:
                yield pid, status
            if status is None or len(self.idle) >= KEPT:
                self.drop(fd)
            else:
                self.all[fd] = (sock, None)
                self.idle.append(fd)


def serve(sock: socket.socket, child: Callable[[list[int]], NoReturn]) -> NoReturn:
    """Be a parent: fork a task on request, tell its process id, wait for it, tell how it ended."""
    try:
        # In a group of its own, as the task: the zygote's group has only what its parent waits for.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while True:
            fds = receive(sock)
            try:
                pid = os.fork()
            except OSError as error:
                pid = -(error.errno or 1)
            if pid == 0:
                sock.close()
                child(fds)
            # Also from this side, so that the group exists before anyone can signal it.
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            for fd in fds:
                os.close(fd)
            del fds
            sock.send(NUMBER.pack(pid))
            if pid > 0:
                sock.send(NUMBER.pack(os.waitpid(pid, 0)[1]))
    finally:
        os._exit(0)
