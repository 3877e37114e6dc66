"""Prints what missed deadlines left in a database, without times that cannot be the same twice."""

import json
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])
db.row_factory = sqlite3.Row
QUERIES = {
    "deadline": "SELECT id, missed FROM deadline ORDER BY id",
    "callback": "SELECT id, state, data, trigger_id IS NOT NULL AS triggered FROM callback ORDER BY id",
    "trigger": "SELECT callback.id AS callback, classpath, kwargs, queue FROM trigger "
    "JOIN callback ON callback.trigger_id = trigger.id ORDER BY callback.id",
}
dump = {}
for table, query in QUERIES.items():
    rows = [dict(row) for row in db.execute(query)]
    for row in rows:
        for name in ("data", "kwargs"):
            if name in row:
                # Both names are read back as the same moment.
                text = row[name].replace("pendulum.datetime.DateTime", "datetime.datetime")
                row[name] = json.loads(text)
    dump[table] = rows
print(json.dumps(dump, sort_keys=True))
