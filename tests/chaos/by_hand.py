"""Makes manual runs of the Dag `by_hand` as `airflow dags trigger` does, one for each line with a run id on stdin.

Airflow takes seconds to be imported; here that has happened before the run is wanted.
"""

import sys

from airflow.api.common.trigger_dag import trigger_dag
from airflow.utils.types import DagRunTriggeredByType

print("ready", flush=True)
for line in sys.stdin:
    try:
        trigger_dag("by_hand", run_id=line.strip(), triggered_by=DagRunTriggeredByType.CLI)
        print("made", flush=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the caller tries again or tells of it
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
