"""The child that parses one Dag file: Airflow's own entry point, watched for what the result depends on.

After the result, one line on the log socket says which files were read or imported and whether the result may depend on
something else (a connection to a server, another program). A file whose dependencies did not change need not be executed
again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = '{"slipstream":'
"""How the line begins."""

LOG_FD = "_SLIPSTREAM_LOG_FD"
"""The variable that says which descriptor the log socket is."""

LIMIT = 1000
"""With more dependencies than this, the file is executed again each time."""

OUTWARD = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"}
"""Audit events after which the result may depend on anything."""

LISTING = {"os.listdir", "os.scandir"}
"""Audit events of reading a folder."""

UNSTEADY = re.compile(
    rb"\b(now|utcnow|today|yesterday|tomorrow|days_ago|time|time_ns|monotonic|perf_counter|localtime|gmtime|ctime|mktime"
    rb"|random|rand|randint|randrange|choice|choices|shuffle|sample|secrets|token_hex|urandom|uuid1|uuid4"
    rb"|environ|environb|getenv|getpid|gethostname|uname|stat|getmtime|import_module|__import__|exec|eval)\b"
)
"""Names after which two executions of the same source may differ; a name in a comment counts too, which costs an execution."""


IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"
"""The file name of Python's own code that finds modules."""


class Watch:
    """What a parse depends on, collected through Python's audit events."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.outward = False
        # Not all names: to look at them costs a copy of every page that has one.
        self.last = next(reversed(sys.modules))

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Note one audit event; it must never raise."""
        if event == "open":
            if isinstance(args[0], str) and isinstance(args[1], str) and "r" in args[1]:
                self.paths.add(args[0])
        elif event in LISTING:
            # Python lists folders too, to find modules; what it imports from them is noted as such.
            if isinstance(args[0], str) and sys._getframe(1).f_code.co_filename != IMPORT_SYSTEM:
                self.paths.add(args[0])
        elif event in OUTWARD:
            self.outward = True

    def report(self) -> dict[str, Any]:
        """Return what was seen."""
        for name in list(takewhile(lambda name: name != self.last, reversed(sys.modules))):
            with contextlib.suppress(Exception):
                self.paths.add(sys.modules[name].__file__)
        own = (sys.prefix + os.sep, sys.base_prefix + os.sep, "/proc/", "/sys/", "/dev/", "/etc/")
        paths = sorted(
            {
                os.path.abspath(path)
                for path in self.paths
                if path and not path.startswith(own) and not path.endswith(".pyc")
            }
        )
        few = len(paths) <= LIMIT
        return {"paths": paths[:LIMIT], "outward": self.outward or not few, "steady": few and all(map(steady, paths))}


def steady(path: str) -> bool:
    """Whether a file that a parse read names nothing that may be different the next time."""
    if not path.endswith((".py", ".so", ".pyd")) and "." in os.path.basename(path):
        # Data: its change is noticed, and it does nothing by itself.
        return True
    try:
        with open(path, "rb") as file:
            return path.endswith(".py") and not UNSTEADY.search(file.read())
    except OSError:
        return False


def watched(entry: Callable[[], None]) -> Callable[[], None]:
    """Wrap the entry point of a parse child, in which ``LOG_FD`` is set."""

    def target() -> None:
        log_fd = int(os.environ.pop(LOG_FD))
        watch = Watch()
        sys.addaudithook(watch.hook)
        entry()
        line = MARK + json.dumps(watch.report()) + "}\n"
        with contextlib.suppress(OSError):
            data = line.encode()
            while data:
                data = data[os.write(log_fd, data) :]

    return target
