"""A process that has parsed a Dag file and from which tasks of that file are forked.

It is forked from the task zygote and serves as one, on a socket of its own. First it is told which file:
``{"bundle_info": {"name", "version"}, "dag_rel_path"}``; it answers ``{"ready": true}``, or ``{"unfit": why, "again": whether
it may be otherwise soon}`` and ends. A task finds the parsed Dags where it would have parsed them, in Airflow's own code,
as its own copy. A fork that is asked for after a source has changed is answered with ``{"stale": true}``.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from . import hello, wire
from .rehearsal import Silent, swapped
from .shared_parse import Watch, kept, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from socket import socket

    from airflow.dag_processing.dagbag import DagBag

    from .logs import Channel
    from .shared_parse import Stamp

    Refuse = Callable[..., NoReturn]


class Found(BaseException):
    """Raised instead of a parse, with its arguments."""


class Nobody:
    """The supervisor of a parse for which no task has asked."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse

    def __getattr__(self, name: str) -> None:
        self._refuse(f"it talks to its supervisor ({name})")


class Parsed:
    """Stands in for ``BundleDagBag`` until a task has asked for its Dags."""

    def __init__(self, bag: DagBag, arguments: dict[str, Any], real: type[DagBag]) -> None:
        self.bag, self.arguments, self.real, self.pid = bag, arguments, real, os.getpid()

    def __call__(self, **arguments: Any) -> DagBag:
        """Give the Dags to who asks for this very file."""
        from airflow.dag_processing import dagbag

        dagbag.BundleDagBag = self.real
        if arguments != self.arguments:
            return self.real(**arguments)
        bag = empty(self.real, arguments)
        vars(bag).update(vars(self.bag))
        for dag in bag.dags.values():
            dag.last_loaded = dagbag.timezone.utcnow()
        self.own_alarm()
        return bag

    def own_alarm(self) -> None:
        """Let the handler that a parse leaves behind name this process."""
        for cell in getattr(signal.getsignal(signal.SIGALRM), "__closure__", None) or ():
            if isinstance(cell.cell_contents, str):
                cell.cell_contents = cell.cell_contents.replace(f"PID: {self.pid}", f"PID: {os.getpid()}")


def empty(real: type[DagBag], arguments: dict[str, Any]) -> DagBag:
    """Make a bag in Airflow's way, with all that it logs, for which no file is found."""
    from airflow.dag_processing import dagbag

    nothing = SimpleNamespace(list_dag_files=lambda *_, **__: [])
    with swapped(dagbag, get_importer_registry=lambda: nothing):
        return real(**arguments)


def arguments_of_the_parse(place: dict[str, Any]) -> dict[str, Any]:
    """Let Airflow's code say what a task of this file gives to ``BundleDagBag``."""
    from airflow.dag_processing import dagbag
    from airflow.sdk.execution_time import task_runner

    def found(**arguments: Any) -> NoReturn:
        raise Found(arguments)

    info = SimpleNamespace(**place["bundle_info"])
    with swapped(dagbag, BundleDagBag=found):
        try:
            task_runner.parse(SimpleNamespace(bundle_info=info, dag_rel_path=place["dag_rel_path"]), Silent())  # type: ignore[arg-type]
        except Found as arguments:
            return arguments.args[0]
    raise LookupError("Airflow parses no file where it was expected")


class Streams:
    """Descriptors 1, 2 and the log channel, which lead into memory for a while."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.output, self.log = os.memfd_create("output"), os.memfd_create("log")

    def logged(self) -> list[tuple[Any, ...]]:
        """Return what was logged since the last time."""
        with open(f"/proc/self/fd/{self.log}", "rb") as file:
            lines = [json.loads(line) for line in file]
        os.ftruncate(self.log, 0)
        os.lseek(self.log, 0, os.SEEK_SET)
        return [(line.get("event"), line.get("level"), line.get("logger")) for line in lines]

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Let everything that is written inside go into memory."""
        places = [os.dup(fd) for fd in (1, 2, self.channel.fd)]
        os.dup2(self.output, 1, inheritable=True)
        os.dup2(self.output, 2, inheritable=True)
        os.dup2(self.log, self.channel.fd, inheritable=False)
        stdout, stderr = (io.TextIOWrapper(os.fdopen(fd, "wb", closefd=False), line_buffering=True) for fd in (1, 2))
        try:
            with swapped(sys, stdout=stdout, stderr=stderr):
                yield
        finally:
            stdout.flush()
            stderr.flush()
            for fd, place in zip((1, 2, self.channel.fd), places):
                os.dup2(place, fd, inheritable=fd in (1, 2))
                os.close(place)


def refuse_what_refreshes_itself(place: dict[str, Any], refuse: Refuse) -> None:
    """Refuse a bundle without a version that is no folder of this machine: each task of it may fetch other files first."""
    from airflow.dag_processing.bundles.local import LocalDagBundle
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    info = place["bundle_info"]
    if not info.get("version") and not isinstance(DagBundlesManager().get_bundle(info["name"]), LocalDagBundle):
        refuse("its bundle may be another one for each task")


def refuse_for_the_deployment(watch: Watch) -> None:
    """Refuse where code of the deployment runs with each parse, unless it is as harmless as a file must be."""
    from airflow import settings
    from airflow.configuration import conf
    from airflow.sdk.listener import get_listener_manager

    if conf.get("core", "default_impersonation", fallback=None):
        watch.refuse("[core] default_impersonation is set")
    if get_listener_manager().hook.on_starting.get_hookimpls():
        watch.refuse("a listener is told of each task's start before its parse")
    hooks = settings.get_policy_plugin_manager().hook
    policies = (hooks.dag_policy, hooks.task_policy, hooks.get_dagbag_import_timeout)
    names = {implementation.function.__module__ for hook in policies for implementation in hook.get_hookimpls()}
    for name in (*names, "airflow_local_settings"):
        if name in sys.modules:
            watch.module(sys.modules[name])


def parse(arguments: dict[str, Any], channel: Channel, refuse: Refuse, watching: AbstractContextManager[None]) -> DagBag:
    """Parse the file as a task does; refuse if that is seen in what is written or in the process."""
    from airflow.dag_processing import dagbag
    from airflow.sdk.execution_time import task_runner

    real, streams = dagbag.BundleDagBag, Streams(channel)
    with streams.taken():
        empty(real, arguments)
        usual = streams.logged()
        task_runner.SUPERVISOR_COMMS = Nobody(refuse)  # type: ignore[assignment]
        with kept(refuse), watching:
            bag = real(**arguments)
        vars(task_runner).pop("SUPERVISOR_COMMS")
    if os.fstat(streams.output).st_size:
        refuse("it prints something")
    if streams.logged() != usual:
        refuse("it logs something")
    os.close(streams.output)
    os.close(streams.log)
    return bag


def stamps_of_a_fit_file(arguments: dict[str, Any], channel: Channel, refuse: Refuse) -> dict[str, Stamp]:
    """Parse the file under watch; return what the result depends on."""
    path = os.fspath(arguments["dag_folder"])
    if not path.endswith(".py"):
        refuse("it is no Python file")
    watch = Watch(os.fspath(arguments["bundle_path"]), refuse)
    watch.depends_on(path)
    refuse_for_the_deployment(watch)
    watch.judge(parse(arguments, channel, refuse, watch.watching()))
    return watch.stamps


def in_another_process(work: Callable[[Refuse], Any], refuse: Refuse) -> Any:
    """Return what ``work`` returns in a fork of this process; refuse if it does."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:

        def say(**answer: Any) -> NoReturn:
            data = json.dumps(answer).encode()
            while data:
                data = data[os.write(writer, data) :]
            os._exit(0)

        try:
            hello.die_with_parent(signal.SIGKILL)
            say(done=work(lambda why, again=False: say(unfit=why, again=again)))
        except BaseException as error:
            say(unfit=hello.tail(error), again=False)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    answer = json.loads(text) if text else {"unfit": "it ends the process that executes it", "again": False}
    if "unfit" in answer:
        refuse(answer["unfit"], again=answer["again"])
    return answer["done"]


def prepare(sock: socket, channel: Channel) -> Callable[[], bool]:
    """Be told a file and parse it; return what says whether the result holds. An unfit file ends the process."""
    from airflow.dag_processing import dagbag

    def refuse(why: str, *, again: bool = False) -> NoReturn:
        with contextlib.suppress(OSError):
            wire.write(sock, {"unfit": why, "again": again})
        os._exit(0)

    # Endless code at the top of a file must not outlive who would end it.
    hello.die_with_parent(signal.SIGKILL)
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    try:
        place = wire.read(sock)[0]
        with kept(refuse):
            with channel.muted():
                refuse_what_refreshes_itself(place, refuse)
                arguments = arguments_of_the_parse(place)
            found = in_another_process(lambda refuse: stamps_of_a_fit_file(arguments, channel, refuse), refuse)
            bag = parse(arguments, channel, refuse, contextlib.nullcontext())
        stamps = {path: stamp and tuple(stamp) for path, stamp in found.items()}
        if not unchanged(stamps):
            refuse("it was changed just now", again=True)
        dagbag.BundleDagBag = Parsed(bag, arguments, dagbag.BundleDagBag)  # type: ignore[assignment,misc]
    except BaseException as error:
        refuse(hello.tail(error))
    hello.die_with_parent(0)
    gc.collect()
    gc.freeze()
    wire.write(sock, {"ready": True})
    return lambda: unchanged(stamps)
