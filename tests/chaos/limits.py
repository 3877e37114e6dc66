"""Which limits are exceeded at this moment: pools, active runs, active tasks."""

from __future__ import annotations

import time

# One statement, and so one moment. Runs of backfills have limits of their own.
EXCEEDED = """
with active as (select * from task_instance where state in ('queued', 'running'))
select 'slots of the pool ' || pool, sum(pool_slots), slots from active join slot_pool using (pool)
 group by pool, slots having sum(pool_slots) > slots
union all
select 'active runs of ' || dag_id, count(*), max_active_runs from dag_run join dag using (dag_id)
 where state = 'running' and backfill_id is null group by dag_id, max_active_runs having count(*) > max_active_runs
union all
select 'active tasks of ' || dag_id || ' ' || run_id, count(*), max_active_tasks from active join dag using (dag_id)
 group by dag_id, run_id, max_active_tasks having count(*) > max_active_tasks
union all
select 'active copies of limited.alone', count(*), 1 from active where dag_id = 'limited' and task_id = 'alone' having count(*) > 1
"""


class Limits:
    """Looks again and again, and remembers what was exceeded."""

    def __init__(self, deployment, every: float) -> None:
        self.deployment, self.every = deployment, every
        self.since, self.next_look = time.monotonic(), 0.0
        self.looks = 0
        self.exceeded: list[str] = []

    def look(self) -> None:
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + self.every
        rows = self.deployment.sql(EXCEEDED)
        self.looks += 1
        self.exceeded += [f"{count} instead of {limit} {what} after {now - self.since:.1f} s" for what, count, limit in rows]
