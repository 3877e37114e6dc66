from datetime import datetime
from airflow.sdk import (DAG, Asset, PartitionedAssetTimetable, PartitionedAtRuntime, RollupMapper, FanOutMapper, StartOfDayMapper, StartOfWeekMapper, StartOfHourMapper, StartOfMonthMapper, StartOfYearMapper, StartOfQuarterMapper,
    DayWindow, WeekWindow, HourWindow, MinimumCount, WaitForAll, SegmentWindow, FixedKeyMapper, ChainMapper, ProductMapper, IdentityMapper, AllowedKeyMapper, task)
CASE = {
    "about": "partition mappers: rollups that wait for all or some keys, fan-out, fixed keys, product, chain, year",
    "dags": ["partition_rollup__day", "partition_rollup__some", "partition_rollup__fan", "partition_rollup__fixed", "partition_rollup__product", "partition_rollup__chain", "partition_rollup__seg", "partition_rollup__year", "partition_rollup__quarter"],
    "actions": [
        {"asset_event": {"asset": "partition_rollup_t", "partition_key": "2024-03-01T05:00:00"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_t", "partition_key": "2024-03-01T06:00:00"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_t", "partition_key": "2024-03-01T06:00:00"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_w", "partition_key": "2024-03-06T00:00:00"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_s", "partition_key": "eu"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_t"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_s", "partition_key": "us"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_x", "partition_key": "eu|2024-03-01T05:10:00"}},
        {"sleep": 3},
        {"asset_event": {"asset": "partition_rollup_x", "partition_key": "bad"}},
        {"sleep": 3},
        {"wait": {"dag": "partition_rollup__fan", "count": 7}},
        {"wait": {"dag": "partition_rollup__some", "count": 1}},
        {"wait": {"dag": "partition_rollup__seg", "count": 1}},
        {"wait": {"dag": "partition_rollup__year", "count": 1}},
        {"states": {"after": 6}},
    ],
    "mask": {"runs": "how many events fall into one run depends on when the scheduler looks",
        "run_order": "how many events fall into one run depends on when the scheduler looks",
        "log": "how many events fall into one run depends on when the scheduler looks",
        "xcom": "how many events fall into one run depends on when the scheduler looks",
        "asset_events|*|consumed_by": "how many events fall into one run depends on when the scheduler looks",
        "partition_runs|*|run": "how many events fall into one run depends on when the scheduler looks",
        "answers": "how many events fall into one run depends on when the scheduler looks"},
}
T, Wk, S, X = (Asset(f"partition_rollup_{k}", uri=f"x-case://partition_rollup/{k}") for k in "twsx")
def c(name, schedule):
    with DAG(f"partition_rollup__{name}", schedule=schedule, max_active_runs=16):
        @task
        def t(dag_run=None):
            return [dag_run.partition_key, str(dag_run.partition_date)]
        t()
P = lambda asset, m: PartitionedAssetTimetable(assets=asset, default_partition_mapper=m)
c("day", P(T, RollupMapper(upstream_mapper=StartOfDayMapper(), window=DayWindow())))
c("some", P(T, RollupMapper(upstream_mapper=StartOfDayMapper(), window=DayWindow(), wait_policy=MinimumCount(2))))
c("fan", P(Wk, FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow())))
c("fixed", P(S, FixedKeyMapper("all")))
c("seg", P(S, RollupMapper(upstream_mapper=FixedKeyMapper("world"), window=SegmentWindow(["eu", "us"]))))
c("product", P(X, ProductMapper(AllowedKeyMapper(["eu"]), StartOfDayMapper())))
c("chain", P(T, ChainMapper(StartOfHourMapper(), StartOfMonthMapper(input_format="%Y-%m-%dT%H"))))
c("year", P(T, StartOfYearMapper()))
c("quarter", P(T, StartOfQuarterMapper()))
