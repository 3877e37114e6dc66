"""Counts the instructions of core's decisions under valgrind, and fails where they grew: `make bench-guard`.

Instructions are the same on a busy machine and an idle one. Two things are held: the count against the one in
`guard.json` (with a tolerance for another libc), and the growth from a size to twice that size, so that no decision takes a
quadratic step. After a change that is meant: `make bench-guard ARGS=--accept`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = HERE / "target/release/slipstream-bench-core"
KNOWN = HERE / "guard.json"
SIZE = 1000
TOLERANCE = 1.10
GROWTH = 2.35
"""Twice the size costs at most this much more: sorting and trees need a little more than twice."""


def instructions(name: str, size: int, times: int) -> int:
    """Return how many instructions the program executes."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", BINARY, name, str(size), str(times)]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    counted = re.search(r"Collected : (\d+)", result.stderr)
    if not counted:
        sys.exit(f"valgrind did not count anything:\n{result.stderr}")
    return int(counted[1])


def work(name: str, size: int) -> int:
    """Return the instructions of doing the work once, without those of making its facts."""
    return instructions(name, size, 1) - instructions(name, size, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write what was counted to guard.json")
    args = parser.parse_args()
    names = subprocess.run([BINARY], capture_output=True, text=True, check=True).stdout.split()
    known = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    counts, wrong = {}, []
    print(f"{'decision':<24} {'instructions':>13} {'known':>13} {'x2 size':>8}")
    for name in names:
        count, twice = work(name, SIZE), work(name, 2 * SIZE)
        counts[name], growth = count, twice / count
        print(f"{name:<24} {count:>13,} {known.get(name, 0):>13,} {growth:>7.2f}x", flush=True)
        if growth > GROWTH:
            wrong.append(f"{name}: twice the size costs {growth:.2f} times as much")
        if name in known and count > known[name] * TOLERANCE:
            wrong.append(f"{name}: {count:,} instructions, {count / known[name]:.2f} times those in guard.json")
        if name not in known and not args.accept:
            wrong.append(f"{name}: not in guard.json")
    if args.accept:
        KNOWN.write_text(json.dumps(counts, indent=1) + "\n")
        wrong = [line for line in wrong if "guard.json" not in line]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
