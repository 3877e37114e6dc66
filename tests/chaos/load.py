"""What the Dags of `dags/` are told, and for which dates each of them must run then."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import oracle

ROWS = "dag_id, run_id, task_id, map_index, try_number, state"
MINUTE = timedelta(minutes=1)
NARROW = "insert into slot_pool (pool, slots, include_deferred) values ('narrow', 2, false)"
"""Makes the pool that is always in demand."""


@dataclass
class Load:
    seconds: float
    """How long Dags become due."""
    every: float
    """Seconds between the runs of the densest Dag."""
    notes: Path
    """Where tasks note when they begin and end."""
    first: datetime = field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))

    @property
    def until(self) -> datetime:
        return self.first + timedelta(seconds=self.seconds)

    @property
    def cron(self) -> datetime:
        return self.first.replace(second=0) - MINUTE

    def environ(self) -> dict[str, str]:
        return {
            "CHAOS_NOTES": str(self.notes), "CHAOS_FROM": self.first.isoformat(), "CHAOS_UNTIL": self.until.isoformat(),
            "CHAOS_CRON": self.cron.isoformat(), "CHAOS_EVERY": str(self.every),
        }

    def due(self, *more: str) -> dict[str, list[datetime]]:
        """Logical dates by Dag; of `more` Dags as well, which run as seldom as most of `dags/load.py`."""
        every = timedelta(seconds=self.every)
        dates = {"chain": oracle.due(self.first, self.until, every), "minutely": oracle.due(self.cron, self.until, MINUTE)}
        return dates | {dag: oracle.due(self.first, self.until, 2 * every) for dag in ("mapped", "retried", "deferred", *more)}

    def facts(self, deployment, due: dict[str, list[datetime]], **more) -> oracle.Facts:
        """What the tables and the tasks themselves say now."""
        now = deployment.sql(f"select {ROWS} from task_instance")
        return oracle.Facts(
            due=due,
            runs=deployment.sql("select dag_id, run_id, logical_date, state from dag_run"),
            tries=now + deployment.sql(f"select {ROWS} from task_instance_history"),
            now=now,
            notes=self.notes.read_text().splitlines() if self.notes.exists() else [],
            **more,
        )
