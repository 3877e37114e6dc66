"""A faster way to set an operator's attributes, for a release of Airflow in which it is known to do the same.

Airflow looks for a converter by a name that it puts together at every assignment, some seventy for each operator of a Dag
file. Python caches look-ups by the name's identity, so none of these is ever found there, and the search goes through
all classes: a fifth of the time that a file of many operators takes. Here a name is put together once.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from typing import Any

KNOWN = {"4e41349eeab662752d53dba5d400824dcaf793fc44cf07d31bfab8853e5ff5f8"}
"""Digests of the sources of Airflow's method that this one does the same as."""


class Names(dict[str, str]):
    """The converter's name for each attribute."""

    def __missing__(self, attribute: str) -> str:
        """Put it together."""
        name = self[attribute] = sys.intern("_convert_" + attribute)
        return name


class Setters(dict[type, Any]):
    """For each class of operators, what Python would call next after ``BaseOperator.__setattr__``."""

    def __init__(self, base: type) -> None:
        self.base = base

    def __missing__(self, kind: type) -> Any:
        """Find it: ``object``'s, unless a class that is mixed in has one."""
        after = kind.__mro__[kind.__mro__.index(self.base) + 1 :]
        setter = self[kind] = next(vars(other)["__setattr__"] for other in after if "__setattr__" in vars(other))
        return setter


def install() -> bool:
    """Replace the method if it is one that is known; return whether it was."""
    from airflow.sdk.bases.operator import BaseOperator

    source = inspect.getsource(BaseOperator.__setattr__)
    if hashlib.sha256(source.encode()).hexdigest() not in KNOWN:
        return False
    names, setters = Names(), Setters(BaseOperator)

    def set_attribute(self: Any, key: str, value: Any) -> None:
        if converter := getattr(self, names[key], None):
            value = converter(value)
        setters[type(self)](self, key, value)
        if self._BaseOperator__from_mapped or self._lock_for_execution:
            return
        given = self._BaseOperator__init_kwargs
        if key in given:
            given[key] = value
        if self._BaseOperator__instantiated and key in self.template_fields:
            self._set_xcomargs_dependency(key, value)

    BaseOperator.__setattr__ = set_attribute
    return True
