"""Sets up the logging of children once, before they are forked.

Airflow's ``_fork_main`` does it in each child, for the descriptor of that child's log socket: milliseconds of the same
work. Here it is done for a descriptor whose number stays, and a child puts its log socket in that descriptor's place.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let what this process writes to stdout and stderr meanwhile go nowhere.

    Loggers that are used for the first time keep nothing of how logging is set up now.
    """
    import structlog

    kept = structlog.get_config()["cache_logger_on_first_use"]
    structlog.configure(cache_logger_on_first_use=False)
    places = {1: sys.stdout, 2: sys.stderr}
    before = {fd: os.dup(fd) for fd in places}
    null = os.open(os.devnull, os.O_WRONLY)
    for fd, stream in places.items():
        stream.flush()
        os.dup2(null, fd)
    os.close(null)
    try:
        yield
    finally:
        for fd, stream in places.items():
            stream.flush()
            os.dup2(before[fd], fd)
            os.close(before[fd])
        structlog.configure(cache_logger_on_first_use=kept)


class Channel:
    """Where the loggers of all children write."""

    def __init__(self) -> None:
        """Set up logging as ``_fork_main`` does; until a child takes the channel, it leads to stderr."""
        from airflow.sdk.execution_time.supervisor import _configure_logs_over_json_channel

        self.fd = os.dup(2)
        sys.excepthook = sys.__excepthook__
        _configure_logs_over_json_channel(self.fd)
        self.excepthook = sys.excepthook

    def take(self, fd: int) -> None:
        """Let everything that is logged go to ``fd``, which is closed."""
        os.dup2(fd, self.fd, inheritable=False)
        os.close(fd)

    @contextlib.contextmanager
    def muted(self) -> Iterator[None]:
        """Let what is logged meanwhile go nowhere."""
        place = os.dup(self.fd)
        self.take(os.open(os.devnull, os.O_WRONLY))
        try:
            yield
        finally:
            self.take(place)

    def wrap(self, target: Callable[[], None]) -> Callable[[], None]:
        """Wrap an entry point: ``_fork_main`` without a log socket leaves Python's own exception hook in place."""

        def logged() -> None:
            sys.excepthook = self.excepthook
            target()

        return logged
