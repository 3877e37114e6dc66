"""The child that parses one Dag file: Airflow's own entry point, watched for what the result depends on.

After the result, one line on the log socket says which files were read or imported and whether the result may depend on
something else (a connection to a server, another program). A file whose dependencies did not change need not be executed
again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import site
import sys
import sysconfig
from itertools import takewhile
from stat import S_ISDIR
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = '{"slipstream":'
"""How the line begins."""

LOG_FD = "_SLIPSTREAM_LOG_FD"
"""The variable that says which descriptor the log socket is."""

LIMIT = 1000
"""With more dependencies than this, the file is executed again each time."""

OUTWARD = {
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "sqlite3.connect",
}  # fmt: skip
"""Audit events after which the result may depend on anything."""

UNWATCHED = {
    "psycopg2", "psycopg", "pyodbc", "MySQLdb", "_mysql_connector", "pymssql", "cx_Oracle", "oracledb", "ibm_db",
    "hdbcli", "duckdb", "pycurl", "zmq", "grpc", "confluent_kafka", "pyarrow.fs", "jpype", "rados",
}  # fmt: skip
"""Modules that can reach servers or databases without an audit event: a file that imports one may depend on anything."""

WRITES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
"""The flags of a file that is opened to be written."""

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
        self.written: set[str] = set()
        self.outward = False
        # Not all names: to look at them costs a copy of every page that has one.
        self.last = next(reversed(sys.modules))
        self.watch_stat()
        for module in ("psycopg2", "psycopg"):
            if module in sys.modules:
                self.watch_connect(sys.modules[module])

    def watch_stat(self) -> None:
        """Note what is asked whether it is there: for that there is no audit event."""
        stat = os.stat

        @functools.wraps(stat)
        def noting(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            found = None
            try:
                found = stat(path, *args, **kwargs)
            finally:
                # What lies in a folder is noted when it is listed.
                if found is None or not S_ISDIR(found.st_mode):
                    with contextlib.suppress(TypeError):
                        name = os.fspath(path)
                        if isinstance(name, str):
                            self.paths.add(name)
            return found

        os.stat = noting
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if stat in able:
                able.add(noting)

    def watch_connect(self, module: Any) -> None:
        """Note connections of a driver that Airflow itself has loaded."""
        connect = module.connect

        @functools.wraps(connect)
        def noting(*args: Any, **kwargs: Any) -> Any:
            self.outward = True
            return connect(*args, **kwargs)

        module.connect = noting

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Note one audit event; it must never raise."""
        if event == "open":
            # `os.open` has no mode, but flags.
            reads = args[2] & WRITES == os.O_RDONLY if args[1] is None else isinstance(args[1], str) and "r" in args[1]
            if isinstance(args[0], str):
                (self.paths if reads else self.written).add(args[0])
        elif event in LISTING:
            # Python lists folders too, to find modules; what it imports from them is noted as such.
            if isinstance(args[0], str) and sys._getframe(1).f_code.co_filename != IMPORT_SYSTEM:
                self.paths.add(args[0])
        elif event in OUTWARD:
            self.outward = True

    def report(self) -> dict[str, Any]:
        """Return what was seen."""
        imported = list(takewhile(lambda name: name != self.last, reversed(sys.modules)))
        for name in imported:
            with contextlib.suppress(Exception):
                self.paths.add(sys.modules[name].__file__)
        self.outward |= any(name in UNWATCHED for name in imported)
        own = tuple(installed())
        paths = sorted(
            {
                os.path.abspath(path)
                # What the file makes itself is no input, whatever it looks for besides.
                for path in self.paths - self.written
                if path and "\0" not in path and not path.startswith(own) and not path.endswith(".pyc")
            }
        )
        few = len(paths) <= LIMIT
        return {"paths": paths[:LIMIT], "outward": self.outward or not few, "steady": few and all(map(steady, paths))}


def installed() -> set[str]:
    """Return the folders of Python and of installed packages, and those that hold no files; a Dags folder may be beside them."""
    folders = {"/proc/", "/sys/", "/dev/"}
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    for scheme in ({}, {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}):
        folders.update(sysconfig.get_path(name, vars=scheme or None) + os.sep for name in names)
    folders.update(path + os.sep for path in site.getsitepackages())
    folders.add(site.getusersitepackages() + os.sep)
    return folders


def steady(path: str) -> bool:
    """Whether a file that a parse read names nothing that may be different the next time."""
    if not path.endswith((".py", ".so", ".pyd")) and "." in os.path.basename(path):
        # Data: its change is noticed, and it does nothing by itself.
        return True
    try:
        with open(path, "rb") as file:
            return path.endswith(".py") and not UNSTEADY.search(file.read())
    except (OSError, ValueError):
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
