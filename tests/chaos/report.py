"""What is known of a round in the end, and what is told meanwhile."""

from __future__ import annotations

import collections
import shutil
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path


@dataclass
class Round:
    title: str
    rows: dict[str, list[str]] = field(default_factory=dict)
    """What must be true, and what contradicts it."""
    done: collections.Counter = field(default_factory=collections.Counter)
    numbers: dict[str, object] = field(default_factory=dict)

    def failed(self) -> bool:
        return any(self.rows.values())

    def markdown(self) -> str:
        lines = [self.title, "", "| must be true | |", "| --- | --- |"]
        lines += [f"| {name} | {'ok' if not found else f'VIOLATED ({len(found)})'} |" for name, found in self.rows.items()]
        lines += ["", "| what was done | times |", "| --- | --- |"]
        lines += [f"| {what} | {times} |" for what, times in sorted(self.done.items())]
        lines += ["", "| measured | |", "| --- | --- |"]
        lines += [f"| {name} | {value} |" for name, value in self.numbers.items()]
        for name, found in self.rows.items():
            if found:
                lines += ["", f"{name}:", "", *[f"    {line}" for line in found[:50]]]
        return "\n".join(lines) + "\n"


def conclude(one: Round, home: Path, to: Path | None) -> int:
    """Tells the report, also to a file; keeps the folder of a round that failed. Returns the exit status."""
    report = one.markdown()
    print(report)
    if to:
        to.write_text(report)
    if one.failed():
        print(f"VIOLATED; logs, notes and tables are in {home}")
        return 1
    shutil.rmtree(home, ignore_errors=True)
    return 0


def say(since: float, text: str) -> None:
    print(f"  {time.monotonic() - since:6.1f} s  {datetime.now(timezone.utc):%H:%M:%S}  {text}", flush=True)
