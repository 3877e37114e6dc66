"""The metrics of Airflow's code in a child that runs callbacks of a Dag file, as those of a child of stock Airflow's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def measured(run_callbacks: Callable[..., None]) -> Callable[..., None]:
    """Let ``run_callbacks`` send metrics. Children that only parse do not: to look a receiver's address up would count as
    something that the result depends on.
    """

    @functools.wraps(run_callbacks)
    def run(*args: Any, **kwargs: Any) -> None:
        from airflow._shared.observability.metrics import stats
        from airflow.configuration import conf
        from airflow.observability.metrics import stats_utils

        stats.initialize(
            factory=stats_utils.get_stats_factory(),
            export_legacy_names=conf.getboolean("metrics", "legacy_names_on"),
        )
        run_callbacks(*args, **kwargs)

    return run
