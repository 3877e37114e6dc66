"""Tries that stock gives up without an outcome.

A task that was deferred goes on in a new process. When another scheduler queues it before the one that ran it has read from its
executor that the first process ended, that one finds a task that is queued although its process has ended well, and
calls it failed; of a task in that state it writes no history. So a try is missing, and may begin twice. Stock does that among
stock schedulers as well. Only what a stock scheduler itself said so of is excused.
"""

from __future__ import annotations

import re

# The message is also Slipstream's; the logger and the place in the source are not.
SAID = re.compile(r"reported that the task instance <TaskInstance: (\S+) (\S+)(?: map_index=(\d+))? \[queued\].*"
                  r" finished with state .* \[airflow\.task\] loc=taskinstance\.py")
MISMATCHES = "select dag_id, run_id, task_id, map_index, try_number from log where event = 'state mismatch'"


def forgotten(lines: list[str], mismatches: list[tuple]) -> set[tuple]:
    """Of the mismatches in the audit log those that a stock scheduler wrote, by the lines of its own log."""
    said = {(found[1], found[2], int(found[3] or -1)) for found in map(SAID.search, lines) if found}
    return {row for row in mismatches if (f"{row[0]}.{row[2]}", row[1], row[3]) in said}
