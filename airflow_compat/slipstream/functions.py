"""Python functions in conditions: how they get from a Dag file to the process that calls them."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

LONGEST = 60
"""The most seconds that one answer may take."""

IMPORTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def to_json(function: Callable[..., Any] | str, limit: float | None) -> dict[str, Any]:
    """Return what the scheduler needs to call a function: its module and name, or its name and its text."""
    inside = _imported(function) if isinstance(function, str) else _own(function)
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit <= LONGEST:
            raise ValueError(f"passes(limit=) needs seconds, more than 0 and at most {LONGEST}, not {limit!r}")
        inside["limit"] = limit
    return inside


def _imported(path: str) -> dict[str, Any]:
    if not IMPORTED.fullmatch(path):
        raise ValueError(f"passes() needs a function, or where to import it from as in 'module.function', not {path!r}")
    return {"function": path}


def _own(function: Any) -> dict[str, Any]:
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        raise TypeError(f"passes() needs a function that is written with `def`, or 'module.function', not {function!r}")
    name = function.__name__
    if len(inspect.signature(function).parameters) < 2:
        raise TypeError(f"passes(): `{name}` must take two arguments, the event and what it remembers")
    try:
        source = textwrap.dedent(inspect.getsource(function))
        (definition,) = ast.parse(source).body
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"passes(): the text of `{name}` cannot be found ({error}); give 'module.function' instead") from error
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list:
        raise ValueError(f"passes(): `{name}` must be a plain function, without decorators and not async")
    outside = sorted({*function.__code__.co_freevars, *_globals(function.__code__)} - {*dir(builtins), name})
    if outside:
        raise ValueError(
            f"passes(): `{name}` is run by itself, without the file around it, and uses {', '.join(outside)} from there:"
            " import and define inside what it needs, or put it into a module and give 'module.function'"
        )
    return {"function": name, "source": source}


def _globals(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _globals(constant)
