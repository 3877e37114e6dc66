"""Functions in the conditions of triggers: ``Event(…).passes(function)``."""

from __future__ import annotations

import __future__

import importlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 64 * 1024
"""The most characters of JSON that a function may remember."""


@lru_cache(maxsize=256)
def find(function: str, source: str | None) -> Callable[..., Any]:
    """Return the function: imported, or made of its text."""
    if source is None:
        module, _, name = function.rpartition(".")
        return getattr(importlib.import_module(module), name)
    # As in a file that postpones its annotations: they may name what only the type checker knows.
    flags = __future__.annotations.compiler_flag
    names: dict[str, Any] = {"__name__": "slipstream_predicate"}
    exec(compile(source, f"<{function}>", "exec", flags=flags, dont_inherit=True), names)  # noqa: S102
    return names[function]


def ask(function: str, source: str | None, event: dict[str, Any], state: Any) -> dict[str, Any]:
    """Ask a function about an event; returns whether it accepts it, and what it remembers from now on."""
    answer = find(function, source)(event, state)
    if isinstance(answer, tuple) and len(answer) == 2:
        answer, state = answer
    if not isinstance(answer, bool):
        raise TypeError(f"{function} must return True or False, or that and what it remembers, not {answer!r:.200}")
    try:
        text = json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"what {function} remembers is not JSON: {error}") from None
    if len(text) > LARGEST:
        raise ValueError(f"{function} remembers too much: {len(text)} characters of JSON, {LARGEST} are allowed")
    return {"passes": answer, "state": state}


OPS = {"ask": ask}
