"""What the zygotes import and build once, so that no child has to.

Every step is one name in ``STEPS``; a step that starts a thread is named to the parent, which then starts a zygote that
skips it (its children do it themselves, later).
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

NEEDED = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.local",
)
"""Modules without which no child can do anything."""

SHARED = (
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.collection",
    "airflow.dag_processing.manager",
)
"""What the services of the dag processor import sooner or later."""

USUAL = (
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.execution_time.task_mapping",
    "airflow.sdk.execution_time.timeout",
    "airflow.sdk._shared.logging.remote",
    "airflow.sdk.serde",
    "airflow.utils.hashlib_wrapper",
    "airflow.version",
    "encodings.idna",
    "jinja2.ext",
    "setproctitle",
)
"""Modules that every task imports sooner or later."""

STANDARD = (
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.sensors.base",
)
"""What most Dag files import."""


def parse_target() -> Callable[[], None]:
    """Return the entry point of a parse child."""
    from airflow.dag_processing import processor

    from . import callback_metrics, parse

    processor._execute_callbacks = callback_metrics.measured(processor._execute_callbacks)
    return parse.watched(processor._parse_file_entrypoint)


def task_target() -> Callable[[], None]:
    """Return the entry point of a task child."""
    from airflow.sdk.execution_time import supervisor

    # As the supervisor of a task: its secrets are not for other processes of the same user.
    supervisor._make_process_nondumpable()
    return supervisor._subprocess_main


def callback_target() -> Callable[[], None]:
    """Return the entry point of an executor callback's child."""
    from . import callback

    return callback.main


TARGETS = {"parse": parse_target, "task": task_target, "callback": callback_target}
"""For each kind of zygote, how to get the entry point of its children."""


class BuiltOnce:
    """Stands in for ``pydantic.TypeAdapter`` in one module: the adapter of a type is built at its first use only."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.built: dict[int, tuple[Any, Any]] = {}

    def __getitem__(self, _: Any) -> BuiltOnce:
        return self

    def __call__(self, kind: Any, **options: Any) -> Any:
        if options:
            return self.real(kind, **options)
        # The type itself is kept beside its adapter, so that its id stays its own.
        if id(kind) not in self.built:
            self.built[id(kind)] = (kind, self.real(kind))
        return self.built[id(kind)][1]


def adapters() -> None:
    """Build the validators of the messages between a child and its supervisor."""
    from airflow.dag_processing import processor
    from airflow.sdk.execution_time import comms, task_runner

    comms.TypeAdapter = BuiltOnce(comms.TypeAdapter)
    comms.TypeAdapter(comms.ToTask)
    _ = comms.CommsDecoder[comms.ToTask, comms.ToSupervisor]
    task_runner.TypeAdapter = BuiltOnce(task_runner.TypeAdapter)
    task_runner.TypeAdapter(task_runner.JsonValue)
    processor.TypeAdapter = BuiltOnce(processor.TypeAdapter)
    processor.TypeAdapter[processor.ToDagProcessor](processor.ToDagProcessor)


def modules(*groups: tuple[str, ...]) -> Callable[[], None]:
    """Return a step that imports what is installed of ``groups``."""

    def step() -> None:
        for name in (name for group in groups for name in group):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    return step


def jinja() -> None:
    """Render one template, for what Jinja builds at its first use."""
    from airflow.sdk.definitions._internal.templater import SandboxedEnvironment

    SandboxedEnvironment(cache_size=0).from_string("{{ ds }} {% if x %}{{ x | upper }}{% endif %}").render(x="a")


def plugins() -> None:
    """Find the plugins and their listeners, as a task's start does."""
    from airflow.sdk.listener import get_listener_manager
    from airflow.sdk.plugins_manager import integrate_macros_plugins

    integrate_macros_plugins()
    get_listener_manager()


def providers() -> None:
    """Look up the decorators of the installed providers, as the first ``@task`` of a Dag file does."""
    from airflow.sdk.definitions.decorators import task

    _ = task.python


def define_small_dag() -> DAG:
    """Define a small Dag that nobody sees, for what the SDK imports and remembers at the first use of its parts."""
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG, task

    @task
    def one(x: int) -> int:
        return x

    @task
    def total(xs: list[int]) -> int:
        return sum(xs)

    with DAG("slipstream_preload", schedule=None, catchup=False, auto_register=False) as dag:
        first = PythonOperator(task_id="first", python_callable=one.function)
        first >> total(one.expand(x=[1]))  # type: ignore[arg-type]
    dag.get_template_env()
    dag.resolve_template_files()
    return dag


def small_dag() -> None:
    """Define a small Dag, as every Dag file does."""
    define_small_dag()


def parsing() -> None:
    """Serialise a small Dag and describe it to the parent, as every parse does."""
    import airflow
    from airflow.dag_processing.dagbag import DagBag
    from airflow.dag_processing.processor import DagFileParsingResult, _serialize_dags
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    dag = define_small_dag()
    bag = object.__new__(DagBag)
    bag.dags, bag.import_errors = {dag.dag_id: dag}, {}
    dags, _ = _serialize_dags(bag, None)
    stability = check_dag_file_stability(airflow.__file__)
    DagFileParsingResult(
        fileloc=dag.fileloc,
        serialized_dags=dags,
        import_errors={},
        warnings=stability.get_formatted_warnings([dag.dag_id]),
    ).model_dump()


def bundles() -> None:
    """Read the bundles' configuration."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager()


def database() -> None:
    """Let go of the database, as each child does: it is not for tasks and Dag files."""
    from airflow import settings
    from airflow.sdk.execution_time.supervisor import block_orm_access

    settings.dispose_orm(do_log=False)
    block_orm_access()


def attributes() -> None:
    """Make the assignments in the constructors of operators faster."""
    from . import attributes

    attributes.install()


def triggering() -> None:
    """Put the events that made a run into the context of its tasks."""
    from . import triggering

    triggering.install()


STEPS: dict[str, Callable[[], None]] = {
    "attributes": attributes,
    "triggering events": triggering,
    "usual modules": modules(USUAL),
    "standard operators": modules(STANDARD),
    "message adapters": adapters,
    "jinja": jinja,
    "bundles": bundles,
    "providers": providers,
    "small Dag": small_dag,
    "plugins": plugins,
    "database": database,
}
"""What is done before the first fork, in this order."""

REHEARSAL = "rehearsal"
"""The step after all others."""

MORE = {"parse": {"parsing": parsing}}
"""What is done for some kinds before that."""


def mappers() -> None:
    """Let SQLAlchemy find out how the tables hang together, as the first query does."""
    from sqlalchemy.orm import configure_mappers

    configure_mappers()


def writing() -> None:
    """Build what the results of parses are checked with before they are written."""
    from .ops import sync

    sync.decoders()


def rehearsed() -> None:
    """Parse a Dag file that nobody sees."""
    from . import logs, rehearsal

    # Logging is not set up for children yet, and the streams are those of a service too.
    with logs.silence():
        rehearsal.rehearse("parse")


SHARED_STEPS: dict[str, Callable[[], None]] = {
    "modules of the dag processor": modules(NEEDED, SHARED),
    "mappers": mappers,
    "writing": writing,
    **MORE["parse"],
    **{name: STEPS[name] for name in ("attributes", "usual modules", "standard operators", "message adapters", "jinja")},
    REHEARSAL: rehearsed,
}
"""What the dag processor's ancestor does for all that are forked from it, in this order: nothing that runs code of the user."""


def load_shared(skip: list[str]) -> str | None:
    """Do every step of an ancestor but ``skip``; return the first one that started a thread."""
    return take(SHARED_STEPS, skip)


def load(kind: str, skip: list[str]) -> tuple[Callable[[], None], str | None]:
    """Do every step but ``skip``; return the children's entry point and the first step that started a thread."""
    for name in NEEDED:
        importlib.import_module(name)
    target = TARGETS[kind]()
    return target, take({**MORE.get(kind, {}), **STEPS}, skip)


taken: set[str] = set()
"""The steps that were taken in this process, or before it was forked."""


def take(steps: dict[str, Callable[[], None]], skip: list[str]) -> str | None:
    """Take every step but ``skip``; return the first one that started a thread."""
    culprit = None
    for name, step in steps.items():
        if name in skip or name in taken:
            continue
        taken.add(name)
        # A plugin or a provider that cannot be loaded is each child's own trouble, reported there.
        with contextlib.suppress(Exception):
            step()
        if culprit is None and thread_count() > 1:
            culprit = name
    return culprit


def thread_count() -> int:
    """Count this process's threads, those of C libraries too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1
