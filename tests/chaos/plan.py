"""What is done to a deployment, and when: all of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

# What happens to whom. `stop` is SIGSTOP, and SIGCONT after `length` seconds; `term` is an orderly restart.
KINDS = [
    ("kill", "scheduler"), ("kill", "scheduler"), ("kill", "worker"), ("kill", "zygote"), ("kill", "task"),
    ("kill", "dag-processor"), ("kill", "everything"),
    ("stop", "scheduler"), ("stop", "worker"), ("stop", "zygote"), ("stop", "dag-processor"),
    ("term", "scheduler"),
    ("down", "postgres"), ("end", "connections"), ("stall", "proxy"), ("cut", "proxy"),
]
# The clock of one machine is wrong until `length` seconds later: by less than what makes others take a scheduler for dead, or by more.
CLOCKS = [("step", "clock"), ("jump", "clock")]
LASTING = ("stop", "down", "stall", "step", "jump")
# The clocks of two machines may be wrong at once, and in two directions; a scheduler counts as dead after ten seconds.
WRONG = {"step": (0.5, 3.0), "jump": (12.0, 60.0)}


@dataclass(frozen=True)
class Fault:
    at: float
    """Seconds after the load began."""
    what: str
    whom: str
    pick: float
    """Which of those there are, between 0 and 1."""
    length: float
    """Seconds until it is undone; 0 for what needs no undoing."""
    by: float = 0.0
    """Seconds that a clock is put forward, or back."""

    def text(self) -> str:
        by = f" by {self.by:+.1f} s" if self.by else ""
        lasts = f" for {self.length:.1f} s" if self.length else ""
        return f"{self.what} {self.whom}{by}{lasts} (pick {self.pick:.3f})"


def longest(seconds: float) -> float:
    """How long something may be stopped in a round of so many seconds: a minute in rounds of ten minutes and more."""
    return max(2.0, min(60.0, seconds / 10))


def plan(seed: int, seconds: float, kinds: list[tuple[str, str]]) -> list[Fault]:
    """Faults of every kind in turn, in an order that the seed gives; all are undone before the time is up."""
    dice, faults, bag, at = random.Random(seed), [], [], 3.0
    while True:
        if not bag:
            bag = dice.sample(kinds, len(kinds))
        what, whom = bag.pop()
        pick, length, by = dice.random(), 0.0, 0.0
        if what == "down":
            # People and tools start a database again within seconds; a longer outage is what the stalls are for.
            length = dice.uniform(0.5, min(10.0, longest(seconds)))
        elif what in LASTING:
            length = dice.uniform(1.0, longest(seconds))
        if what in WRONG:
            by = dice.choice((-1, 1)) * dice.uniform(*WRONG[what])
        if at + length > seconds:
            return faults
        faults.append(Fault(round(at, 2), what, whom, round(pick, 3), round(length, 2), round(by, 2)))
        # What lasts goes on while the next ones happen, one time in two.
        at += dice.uniform(1.5, max(4.0, longest(seconds) / 4)) + (length if dice.random() < 0.5 else 0.0)
