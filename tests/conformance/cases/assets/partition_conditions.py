from datetime import datetime
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, PartitionedAtRuntime, StartOfDayMapper, IdentityMapper, task, CronPartitionTimetable
CASE = {
    "about": "a partitioned consumer of two assets: both must have the key; mappers by asset; a paused consumer; keys set at run time",
    "dags": ["partition_conditions__p", "partition_conditions__and", "partition_conditions__or", "partition_conditions__plain"],
    "actions": [
        {"trigger": {"dag": "partition_conditions__p", "run": "p1", "partition_key": "2024-03-01"}},
        {"wait": {"dag": "partition_conditions__or", "count": 1}},
        {"states": {"after": 3}},
        {"asset_event": {"asset": "partition_conditions_b", "partition_key": "2024-03-02"}},
        {"wait": {"dag": "partition_conditions__or", "count": 2}},
        {"states": {"after": 3}},
        {"asset_event": {"asset": "partition_conditions_b", "partition_key": "2024-03-01"}},
        {"wait": {"dag": "partition_conditions__and", "count": 1}},
        {"wait": {"dag": "partition_conditions__or", "count": 3}},
        {"states": {"after": 3}},
    ],
}
a, b = (Asset(f"partition_conditions_{k}", uri=f"x-case://partition_conditions/{k}") for k in "ab")
with DAG("partition_conditions__p", schedule=PartitionedAtRuntime()):
    @task(outlets=[a])
    def p():
        pass
    p()
def c(name, schedule):
    with DAG(f"partition_conditions__{name}", schedule=schedule, max_active_runs=1):
        @task
        def t(dag_run=None, triggering_asset_events=None):
            return [dag_run.partition_key, sorted(k.name for k in triggering_asset_events)]
        t()
c("and", PartitionedAssetTimetable(assets=a & b))
c("or", PartitionedAssetTimetable(assets=a | b))
c("plain", [a])
