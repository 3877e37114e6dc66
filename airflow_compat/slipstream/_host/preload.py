"""What the zygotes import and build once, so that no child has to."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def parse_target() -> Callable[[], None]:
    """Return the entry point of a parse child."""
    from airflow.dag_processing.processor import _parse_file_entrypoint

    return _parse_file_entrypoint


def task_target() -> Callable[[], None]:
    """Return the entry point of a task child."""
    from airflow.sdk.execution_time.supervisor import _subprocess_main

    return _subprocess_main


TARGETS = {"parse": parse_target, "task": task_target}
"""For each kind of zygote, how to get the entry point of its children."""

NEEDED = ["airflow.sdk.execution_time.task_runner", "airflow.dag_processing.dagbag"]
"""Modules without which no child can do anything."""


def load(kind: str, skip: list[str]) -> tuple[Callable[[], None], str | None]:
    """Import everything but ``skip``; return the children's target and the first import that started a thread."""
    target = TARGETS[kind]()
    for name in NEEDED:
        importlib.import_module(name)
    culprit = None
    for name in ():
        if name in skip:
            continue
        if culprit is None and thread_count() > 1:
            culprit = name
    return target, culprit


def thread_count() -> int:
    """Count this process's threads, those of C libraries too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1
