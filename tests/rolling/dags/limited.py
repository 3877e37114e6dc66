"""What the rolling restart adds to the load of the chaos test: limits that are always in demand, and tasks that take long."""

# Airflow reads only files that have its name and the word Dag in them.
from __future__ import annotations

from noting import EVERY, PAUSE, scheduled, work

with scheduled("limited", 2 * EVERY, max_active_runs=2, max_active_tasks=2):
    work.override(task_id="wide").expand(_=[1, 2, 3]) >> work.override(task_id="alone", max_active_tis_per_dag=1)()

with scheduled("long", 2 * EVERY):
    work.override(task_id="one")(pause=8 * PAUSE)
