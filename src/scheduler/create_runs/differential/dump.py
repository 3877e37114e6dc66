"""Prints what making runs left in a database, without ids and times that cannot be the same twice."""

import json
import pickle
import re
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])
db.row_factory = sqlite3.Row
IDS = {"id", "created_dag_version_id", "dag_version_id", "callback_id", "deadline_alert_id", "context_carrier"}
TIMES = {"queued_at", "created_at", "updated_at", "last_updated_at"}


def clean(table, row):
    out = {}
    for name in row.keys():
        value = row[name]
        if name in IDS | TIMES or name in {"dagrun_id", "dag_run_id"}:
            value = value is not None
        elif name == "executor_config":
            value = repr(pickle.loads(value))
        elif name in {"data", "conf"} and value is not None:
            value = json.loads(value)
        elif name == "run_id":
            value = re.sub(r"_[A-Za-z0-9]{8}$", "_random", value)
        out[name] = value
    return out


QUERIES = {
    "dag_run": "SELECT * FROM dag_run",
    "task_instance": "SELECT * FROM task_instance",
    "dag": "SELECT dag_id, next_dagrun, next_dagrun_data_interval_start, next_dagrun_data_interval_end, "
    "next_dagrun_create_after, next_dagrun_partition_key, next_dagrun_partition_date, exceeds_max_non_backfill FROM dag",
    "deadline": "SELECT deadline.*, callback.type, callback.data, callback.state, callback.bundle_name, "
    "callback.fetch_method, callback.priority_weight, dag_run.run_id FROM deadline "
    "JOIN callback ON callback.id = callback_id JOIN dag_run ON dag_run.id = dagrun_id",
    "consumed": "SELECT dag_run.dag_id, dag_run.run_id, event_id FROM dagrun_asset_event "
    "JOIN dag_run ON dag_run.id = dag_run_id",
    "queue": "SELECT asset_id, target_dag_id FROM asset_dag_run_queue",
    "carriers": "SELECT ti.task_id, ti.map_index, ti.run_id, ti.context_carrier = dr.context_carrier AS same "
    "FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id",
}
dump = {}
for table, query in QUERIES.items():
    dump[table] = sorted((clean(table, row) for row in db.execute(query)), key=lambda row: json.dumps(row, sort_keys=True))
print(json.dumps(dump, sort_keys=True))
