"""What is replaced by what, and how, in a rolling restart: all of it follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

STOCK, SLIPSTREAM = "airflow", "slipstream"
PROCESSOR = "dag-processor"


@dataclass(frozen=True)
class Step:
    who: int | str
    """The number of a scheduler, or `dag-processor`."""
    to: str
    """The program that takes over."""
    kill: bool
    """Whether the old process gets `kill -9` instead of SIGTERM."""
    surge: bool
    """Whether the new process is started before the old one ends, elsewhere; or else afterwards, in the same place."""
    pause: float
    """Seconds until the next step."""
    last: bool
    """Whether everything runs with the same program now."""


def steps(seed: int, schedulers: int, pause: float, kills: float) -> Iterator[Step]:
    """Pass after pass, without end: everybody is replaced once, to Slipstream first, then back, and so on."""
    dice, to = random.Random(seed), SLIPSTREAM
    while True:
        everyone: list[int | str] = list(range(schedulers))
        everyone.insert(dice.randint(0, schedulers), PROCESSOR)
        for who in everyone:
            # A dag-processor is one process in one place.
            surge = who != PROCESSOR and dice.random() < 0.5
            yield Step(who, to, dice.random() < kills, surge, round(dice.uniform(0.5, 1.5) * pause, 2), who == everyone[-1])
        to = STOCK if to == SLIPSTREAM else SLIPSTREAM
