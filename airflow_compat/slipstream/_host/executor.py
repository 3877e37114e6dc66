"""A process that holds one executor for the scheduler: any subclass of ``BaseExecutor``, unmodified.

It does with the executor what the loop of ``SchedulerJobRunner`` does: start, queue workloads, heartbeat, read the event
buffer, adopt, revoke, end. The scheduler sends ids; rows are read here, with Airflow's own models. Requests are answered
in their order by ``{"answer": n, "ok": value}`` or ``{"answer": n, "error": text}``; each round of the loop says
``{"events": […], "gone": […], "waiting": […]}``, which also shows that the process is alive.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from . import hello, wire

if TYPE_CHECKING:
    from socket import socket

    from airflow.executors.base_executor import BaseExecutor

def main(sock: socket, settings: dict[str, Any]) -> None:
    """Import Airflow, make the executor, say what it is, then serve until the parent closes the socket."""
    # A group of its own: who ends this process by force ends what it has started too.
    os.setpgid(0, 0)
    hello.die_with_parent(signal.SIGKILL)
    take_the_group_along(sock)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hello.survive_debug_signal()
    leave_ending_to_the_parent()
    # Neither watchers nor tasks that an executor forks may hold the socket.
    os.register_at_fork(after_in_child=sock.close)
    # The executor works on the database with Airflow's own functions, as in the scheduler.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    airflow = hello.import_airflow(sock)
    try:
        preload()
        executor = load(settings)
    except BaseException as error:
        hello.refuse(sock, hello.tail(error))
    hello.hello(sock, airflow, facts=facts(executor))
    with contextlib.suppress(wire.Closed, ConnectionError):
        Host(sock, executor).serve()


def take_the_group_along(sock: socket) -> None:
    """See to it that what an executor forks (watchers, managers of queues) ends with this process, however that ends.

    A process of its own waits for it. The kernel could tell each fork of its parent's death, but for it that is the end of
    the thread that forked.
    """
    host = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    if os.fork():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        return
    sock.close()
    # What is sent to the whole group is not for this one, which has to be the last.
    for passing_by in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(passing_by, signal.SIG_IGN)
    hello.die_with_parent(signal.SIGHUP)
    while os.getppid() == host:
        signal.sigwait({signal.SIGHUP})
    os.killpg(host, signal.SIGKILL)


def leave_ending_to_the_parent() -> None:
    """Let SIGTERM pass by in this process (a whole group or unit may get it), but not in what it forks."""
    own = os.getpid()

    def pass_by(signum: int, _frame: object) -> None:
        if os.getpid() != own:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, pass_by)


def preload() -> None:
    """Import now what the first request needs: the time until then is not the executor's."""
    import airflow.api_fastapi.auth.tokens
    import airflow.callbacks.database_callback_sink
    import airflow.executors.workloads
    import airflow.models.callback
    import airflow.models.dagrun
    import airflow.models.taskinstance  # noqa: F401
    from airflow.utils.helpers import log_filename_template_renderer
    from sqlalchemy.orm import configure_mappers

    log_filename_template_renderer()
    configure_mappers()


def load(settings: dict[str, Any]) -> BaseExecutor:
    """Make the executor as Airflow's loader does, with its name and team."""
    from airflow.executors.executor_loader import ExecutorLoader

    wanted = (settings["module_path"], settings["alias"], settings["team"])
    for name in ExecutorLoader.get_executor_names():
        if (name.module_path, name.alias, name.team_name) == wanted:
            return ExecutorLoader.load_executor(name)
    raise LookupError(f"{settings['module_path']} is not in [core] executor as Airflow reads it")


def facts(executor: BaseExecutor) -> dict[str, Any]:
    """Say what the scheduler has to know of the class."""

    def flag(name: str) -> bool:
        return bool(getattr(executor, name, False))

    return {
        "class_name": type(executor).__name__,
        "repr": repr(executor),
        "pre_assigns_external_executor_id": flag("pre_assigns_external_executor_id"),
        "supports_callbacks": flag("supports_callbacks"),
    }


def text(value: Any) -> str | None:
    """Return an executor's words as text."""
    return None if value is None else str(value)


def described(key: Any) -> dict[str, Any] | None:
    """Return what names a workload; nothing for kinds that the scheduler does not hand over."""
    from airflow.models.callback import CallbackKey
    from airflow.models.taskinstancekey import TaskInstanceKey

    if isinstance(key, TaskInstanceKey):
        fields = ("dag_id", "task_id", "run_id", "try_number", "map_index")
        return {"kind": "task", **{field: getattr(key, field) for field in fields}}
    if isinstance(key, CallbackKey):
        return {"kind": "callback", "id": str(key)}
    return None


def sentry(executor: BaseExecutor) -> str:
    """Return the executor's Sentry integration, also of classes from before it had that name."""
    found = getattr(executor, "sentry_integration", None)
    if found is None and getattr(executor, "supports_sentry", False):
        return "sentry_sdk.integrations.celery.CeleryIntegration"
    return found if isinstance(found, str) else ""


class Host:
    """The executor's loop."""

    def __init__(self, sock: socket, executor: BaseExecutor) -> None:
        """Hold an executor that has not been started."""
        self.sock = sock
        self.executor = executor
        self.job_id: int | None = None
        self.known: set[Any] = set()
        self.pause = 1.0
        self.ended = False

    def serve(self) -> None:
        """Answer requests, and give the executor its heartbeat at least every ``scheduler_idle_sleep_time``."""
        due = time.monotonic()
        while not self.ended:
            # Everything that is there is taken before the executor looks at it.
            while self.readable(max(0.0, due - time.monotonic()) if self.job_id is not None else None):
                request, _ = wire.read(self.sock)
                self.answer(request)
                if self.ended:
                    return
                due = time.monotonic()
            self.beat()
            due = time.monotonic() + self.pause

    def readable(self, timeout: float | None) -> bool:
        """Wait for a request."""
        return bool(select.select([self.sock], [], [], timeout)[0])

    def say(self, **message: Any) -> None:
        """Tell the scheduler something; how many slots are free is part of everything."""
        wire.write(self.sock, {"slots": int(self.executor.slots_available), **message})

    def answer(self, request: dict[str, Any]) -> None:
        """Do what is asked; whatever is raised becomes an error."""
        number = request.pop("n")
        try:
            done = getattr(self, "do_" + request["do"])(**{k: v for k, v in request.items() if k != "do"})
        except Exception as error:
            self.say(answer=number, error=hello.tail(error))
        else:
            self.say(answer=number, ok=done)

    # -- the loop ----------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Let the executor work, and report."""
        from airflow._shared.observability.metrics import stats

        trouble = None
        try:
            with stats.timer(
                "scheduler.executor_heartbeat_duration", tags={"executor": type(self.executor).__name__}
            ):
                self.executor.heartbeat()
        except Exception as error:
            # A broker or a result backend that is away comes back; what the executor holds stays.
            trouble = hello.tail(error)
        self.report(trouble)
        self.save_log()

    def report(self, trouble: str | None) -> None:
        """Say what is new: events, and what the executor has let go of."""
        events = []
        for key, (state, info) in self.executor.get_event_buffer().items():
            if name := described(key):
                events.append({"key": name, "state": text(getattr(state, "value", state)), "info": text(info)})
        now = self.holds()
        gone = [described(key) for key in self.known - now]
        self.known = now
        # Only what has left the executor's own queue can be found again by another one.
        waiting = [described(key) for key in (*self.executor.queued_tasks, *self.executor.queued_callbacks)]
        self.say(events=events, gone=[name for name in gone if name], waiting=waiting, trouble=trouble)

    def holds(self) -> set[Any]:
        """Return the keys of everything that the executor has not let go of."""
        executor = self.executor
        return {*executor.queued_tasks, *executor.queued_callbacks, *executor.running}

    def save_log(self) -> None:
        """Write what the executor has noted for the audit log; a database that is away is tried again."""
        from airflow.utils.session import create_session

        records = getattr(self.executor, "_task_event_logs", None)
        if not records:
            return
        noted = list(records)
        try:
            with create_session() as session:
                session.bulk_save_objects(objects=noted, preserve_order=False)
        except Exception as error:
            self.executor.log.warning("The audit log could not be written: %s", error)
            return
        for _ in noted:
            records.popleft()

    # -- requests ----------------------------------------------------------------------------------------

    def do_start(self, job_id: int) -> None:
        """Start the executor for this scheduler."""
        from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
        from airflow.configuration import conf

        self.pause = conf.getfloat("scheduler", "scheduler_idle_sleep_time")
        self.executor.job_id = job_id
        self.executor.callback_sink = DatabaseCallbackSink()
        self.executor.start()
        self.job_id = job_id

    def do_queue(self, tasks: list[str], callbacks: list[str]) -> dict[str, Any]:
        """Hand workloads to the executor, made as ``SchedulerJobRunner`` makes them.

        ``dropped`` are those whose rows are not queued by this scheduler any more, ``refused`` those that the executor
        does not take.
        """
        from airflow.utils.session import create_session

        out: dict[str, Any] = {"dropped": [], "refused": []}
        with create_session() as session:
            self.queue_tasks(tasks, session, out)
            self.queue_callbacks(callbacks, session, out)
        return out

    def queue_tasks(self, ids: list[str], session: Any, out: dict[str, Any]) -> None:
        """Hand over task instances."""
        from uuid import UUID

        from airflow.executors.workloads import ExecuteTask
        from airflow.models.taskinstance import TaskInstance as TI
        from airflow.utils.state import State, TaskInstanceState
        from sqlalchemy import select
        from sqlalchemy.orm import joinedload, selectinload

        if not ids:
            return
        wanted = select(TI).where(TI.id.in_([UUID(ti_id) for ti_id in ids]))
        wanted = wanted.options(selectinload(TI.dag_model), joinedload(TI.dag_run))
        rows = {str(ti.id): ti for ti in session.scalars(wanted)}
        for ti_id in ids:
            ti = rows.get(ti_id)
            queued = ti is not None and ti.state == TaskInstanceState.QUEUED
            if not queued or ti.queued_by_job_id != self.job_id or not ti.dag_version_id:
                out["dropped"].append(ti_id)
            elif ti.dag_run.state in State.finished_dr_states:
                ti.set_state(None, session=session)
                out["dropped"].append(ti_id)
            else:
                try:
                    workload = ExecuteTask.make(
                        ti, generator=self.executor.jwt_generator, sentry_integration=sentry(self.executor)
                    )
                    self.executor.queue_workload(workload, session=session)
                    self.known.add(ti.key)
                except Exception as error:
                    out["refused"].append([ti_id, hello.tail(error)])

    def queue_callbacks(self, ids: list[str], session: Any, out: dict[str, Any]) -> None:
        """Hand over callbacks."""
        from uuid import UUID

        from airflow.executors.workloads import ExecuteCallback
        from airflow.models.callback import Callback
        from airflow.models.dagrun import DagRun

        for callback_id in ids:
            callback = session.get(Callback, UUID(callback_id))
            run = session.get(DagRun, int(callback.data["dag_run_id"])) if callback else None
            if run is None:
                out["dropped"].append(callback_id)
                continue
            try:
                workload = ExecuteCallback.make(
                    callback=callback, dag_run=run, generator=self.executor.jwt_generator
                )
                self.executor.queue_workload(workload, session=session)
                self.known.add(workload.key)
            except Exception as error:
                out["refused"].append([callback_id, hello.tail(error)])

    def do_adopt(self, tasks: list[list[Any]]) -> list[str]:
        """Offer task instances that another scheduler, or an earlier process, had; return the ids that are not taken."""
        from uuid import UUID

        from airflow.models.taskinstance import TaskInstance as TI
        from airflow.utils.session import create_session
        from sqlalchemy import select
        from sqlalchemy.orm import joinedload
        from sqlalchemy.orm.attributes import set_committed_value

        jobs = {UUID(ti_id): job for ti_id, job in tasks}
        with create_session() as session:
            query = select(TI).where(TI.id.in_(jobs)).options(joinedload(TI.dag_run))
            tis = session.scalars(query).all()
            for ti in tis:
                # Executors find what belongs to a task instance by the scheduler that it had before.
                set_committed_value(ti, "queued_by_job_id", jobs[ti.id])
            refused = {ti.id for ti in self.executor.try_adopt_task_instances(tis)}
            found = {ti.id for ti in tis}
            self.known |= {ti.key for ti in tis if ti.id not in refused}
            # What it did to the rows is not for the database: the scheduler writes what follows.
            session.rollback()
        return [str(ti_id) for ti_id in jobs if ti_id in refused or ti_id not in found]

    def do_revoke(self, task: str) -> str:
        """Take a task instance back; say ``unsupported`` if this executor cannot."""
        from uuid import UUID

        from airflow.models.taskinstance import TaskInstance as TI
        from airflow.utils.session import create_session

        with create_session() as session:
            ti = session.get(TI, UUID(task))
            if ti is None:
                return "gone"
            try:
                self.executor.revoke_task(ti=ti)
            except NotImplementedError:
                return "unsupported"
            self.known.discard(ti.key)
        return "revoked"

    def do_fail(self, key: dict[str, Any]) -> None:
        """Tell the executor that the scheduler has given a try up; its event is not news to the scheduler."""
        from airflow.models.taskinstancekey import TaskInstanceKey
        from airflow.utils.state import TaskInstanceState

        fields = ("dag_id", "task_id", "run_id", "try_number", "map_index")
        ti_key = TaskInstanceKey(**{field: key[field] for field in fields})
        self.executor.change_state(ti_key, TaskInstanceState.FAILED, remove_running=True)
        self.executor.event_buffer.pop(ti_key, None)
        self.known.discard(ti_key)

    def do_end(self) -> None:
        """End the executor, and then this process."""
        try:
            self.executor.end()
        finally:
            self.ended = True
