"""Whether one parse of a Dag file can serve many tasks: what is watched before it, meanwhile and after it.

Whatever a task could tell from not having executed the file itself makes the file unfit for that. The first such thing ends
the process in which it is seen, before it is done: an execution that no task asked for leaves nothing behind. That process is not
the one that tasks are forked from: what watches stays in it for ever, and would make tasks slower.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
import signal
import sys
import sysconfig
import threading
import time
import zoneinfo
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .parse import IMPORT_SYSTEM, LIMIT, LISTING, UNSTEADY
from .preload import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow.dag_processing.dagbag import DagBag

PERSONAL = re.compile(
    rb"\b(get_parsing_context|setproctitle|register_at_fork|alarm|setitimer|getppid|getpgid|getsid|get_ident|get_native_id"
    rb"|current_process|parent_process|process_time|thread_time|getrusage|getloadavg|disk_usage|psutil|uuid6|uuid7|ulid|stats|Stats"
    rb"|opentelemetry|__stdin__|__stdout__|__stderr__|stdin|multiprocessing|ctypes|cffi|nice|setpriority|sched_setaffinity|prctl"
    rb"|setuid|setgid|setsid|setpgid|setpgrp|umask|exists|lexists|isfile|isdir|is_file|is_dir|islink|is_symlink|lstat|getsize"
    rb"|access|readlink|currentframe|excepthook|_getframe|last_loaded)\b"
)
"""More names after which it may matter which process executes a source, or when."""

HARMLESS = {
    "array.__new__", "builtins.id", "code.__new__", "compile", "cpython.run_stdin", "exec", "function.__new__", "marshal.dumps",
    "marshal.loads", "object.__delattr__", "object.__getattr__", "object.__setattr__", "pickle.find_class", "sys._getframe",
}  # fmt: skip
"""Audit events of what stays in the process and is in each fork of it."""

PARSING_CONTEXT = "_AIRFLOW_PARSING_CONTEXT_"
"""How the variables begin that tell a Dag file for which task it is executed."""

IMPORTER = "airflow.dag_processing.importers.python_importer"
"""The module that leaves handlers of two signals behind."""

Stamp = tuple[int, ...]


def stamp(path: str) -> Stamp | None:
    """Return what the file system says of a file or folder; equal stamps mean an unchanged one."""
    try:
        is_now = os.stat(path)
    except OSError:
        return None
    return is_now.st_mtime_ns, is_now.st_ctime_ns, is_now.st_size, is_now.st_ino, is_now.st_dev


def below(path: str, folders: Iterable[str]) -> bool:
    """Whether a file is in one of these folders."""
    return path.startswith(tuple(folder.rstrip(os.sep) + os.sep for folder in folders))


def state() -> dict[str, Any]:
    """Return what must be as it was after the parse: forks would not inherit it, or would share it."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    for number in (signal.SIGSEGV, signal.SIGALRM):
        if getattr(handlers[number], "__module__", None) == IMPORTER:
            handlers[number] = signal.SIG_DFL
    descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            descriptors[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return {
        "the threads": thread_count(),
        "open descriptors": descriptors,
        "the environment": dict(os.environ),
        "handlers of signals": handlers,
        "timers": [signal.getitimer(kind) for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
        "what is done at exit": atexit._ncallbacks(),
        "who holds the standard streams": [sys.getrefcount(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "the standard streams": [id(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "hooks of Python": [id(hook) for hook in (sys.excepthook, sys.displayhook, threading.excepthook)],
    }


@contextlib.contextmanager
def kept(refuse: Callable[..., None]) -> Iterator[None]:
    """Refuse if the process is not afterwards as it was."""
    before = state()
    yield
    after = state()
    for name, value in before.items():
        if after[name] != value:
            refuse(f"it changes {name}")


def unchanged(stamps: dict[str, Stamp | None]) -> bool:
    """Whether all these files and folders are as they were."""
    return all(stamp(path) == was for path, was in stamps.items())


class Watch:
    """One parse that is watched; ``refuse`` is told why the file is unfit and must not return."""

    def __init__(self, bundle: str, refuse: Callable[..., None]) -> None:
        import airflow

        self.bundle, self.refuse = bundle, refuse
        self.active = False
        self.library = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
        self.packages = list(airflow.__path__)
        self.installed = [sys.prefix, sys.base_prefix]
        # What the result depends on, with the stamps of the time before it was read.
        self.files: dict[str, Stamp | None] = {}
        self.folders: dict[str, Stamp | None] = {}
        self.loaded = set(sys.modules)
        self.began = time.time_ns()

    # -- what a source may do ------------------------------------------------------------------------------

    def trusted(self, path: str) -> bool:
        """Whether a file is Python's own or Airflow's."""
        if below(path, self.packages):
            return True
        return below(path, self.library) and "-packages" + os.sep not in path

    def depends_on(self, path: str) -> None:
        """Note a file that the parse reads; a source must name nothing that may differ between two processes."""
        path = os.path.abspath(path)
        if path in self.files or self.trusted(path):
            return
        self.files[path] = stamp(path)
        if path.endswith(".py"):
            self.scan(path)
        elif not below(path, (*self.installed, *zoneinfo.TZPATH)) and not (below(path, [self.bundle]) and os.path.isfile(path)):
            self.refuse(f"it reads {path}")
        if len(self.files) > LIMIT:
            self.refuse(f"it depends on more than {LIMIT} files")

    def scan(self, path: str) -> None:
        """Look for words in a source."""
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            self.refuse(f"{path} cannot be read ({error.strerror})")
        for words in (UNSTEADY, PERSONAL):
            if found := words.search(source):
                self.refuse(f"{path} names `{found[0].decode()}`")

    def module(self, module: ModuleType) -> None:
        """Note a module that was imported before: only one of the user's can be of interest."""
        path = getattr(module, "__file__", None)
        if path and not below(os.path.abspath(path), self.installed):
            self.depends_on(path)

    # -- meanwhile -----------------------------------------------------------------------------------------

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Judge one audit event."""
        if not self.active or event in HARMLESS:
            return
        # What is done here is nobody's deed.
        self.active = False
        if event == "open":
            self.opened(*args)
        elif event == "import":
            if args[1] and not self.trusted(os.path.abspath(args[1])):
                self.refuse(f"it loads {args[1]}, which is not Python")
        elif event not in LISTING or sys._getframe(1).f_code.co_filename != IMPORT_SYSTEM:
            self.refuse(f"it does something that is not seen in its result ({event})")
        self.active = True

    def opened(self, path: Any, mode: str | None, flags: int) -> None:
        """Judge one opened file."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return self.refuse("it opens a descriptor")
        name = os.fsdecode(path)
        writes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes:
            self.refuse(f"it writes {name}")
        elif name.endswith(".pyc"):
            try:
                self.depends_on(importlib.util.source_from_cache(name))
            except ValueError:
                self.refuse(f"{name} has no source")
        else:
            self.depends_on(name)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is done inside."""

        class Environ(type(os.environ)):  # type: ignore[misc]
            def __getitem__(_, key: str) -> str:  # noqa: N805
                if str(key).startswith(PARSING_CONTEXT):
                    self.refuse("it asks for the parsing context")
                return super().__getitem__(key)  # type: ignore[misc]

        plain = type(os.environ)
        for folder in (self.bundle, *sys.path):
            if folder and not below(folder + os.sep, self.installed):
                self.folders[folder] = stamp(folder)
        writes = sys.dont_write_bytecode
        sys.addaudithook(self.hook)
        os.environ.__class__, sys.dont_write_bytecode = Environ, True
        self.active = True
        try:
            yield
        finally:
            self.active = False
            os.environ.__class__, sys.dont_write_bytecode = plain, writes

    # -- afterwards ----------------------------------------------------------------------------------------

    def judge(self, bag: DagBag) -> None:
        """Look at what the parse has left."""
        if bag.import_errors or not bag.dags:
            self.refuse("it has no Dags, or errors")
        if any(getattr(task, "run_as_user", None) for dag in bag.dags.values() for task in dag.tasks):
            self.refuse("it has tasks that run as another user")
        if thread_count() != 1:
            self.refuse("there is more than one thread")
        for module in self.reached():
            self.module(module)
        for path in self.files:
            self.folders.setdefault(os.path.dirname(path), stamp(os.path.dirname(path)))
        # File systems stamp with the time of the last clock tick, a little in the past.
        fresh = self.began - 20_000_000
        if any(was is None or was[0] >= fresh or was[1] >= fresh for was in self.files.values()) or not unchanged(self.stamps):
            self.refuse("it was changed just now", again=True)

    def reached(self) -> set[ModuleType]:
        """Return the user's modules that can be reached from those that this parse has loaded."""
        todo = [sys.modules[name] for name in sys.modules.keys() - self.loaded]
        seen: set[ModuleType] = set()
        while todo:
            module = todo.pop()
            path = getattr(module, "__file__", None)
            if module in seen or not path or below(os.path.abspath(path), self.installed):
                continue
            seen.add(module)
            for value in list(vars(module).values()):
                if isinstance(value, ModuleType):
                    todo.append(value)
                with contextlib.suppress(Exception):
                    todo.append(sys.modules[value.__module__])
        return seen

    @property
    def stamps(self) -> dict[str, Stamp | None]:
        """What another parse depends on too."""
        return {**self.folders, **self.files}
