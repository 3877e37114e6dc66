import os
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher, task
CASE = {
    "about": "a watched asset used by a paused Dag and by an active one; the watcher goes away with its Dag",
    "dags": ["asset_watcher_gone__one", "asset_watcher_gone__two"],
    "unpause": ["asset_watcher_gone__one"],
    "actions": [
        {"replace": {"old": "V = 1", "new": "V = 2"}},
        {"wait_sql": {"sql": "select count(*) from asset_watcher w join asset a on a.id = w.asset_id where a.name like 'asset_watcher_gone%'", "equals": 1}},
        {"sleep": 3},
        {"note": {"sql_name": "triggers", "sql": "select classpath, count(*) from trigger t join asset_watcher w on w.trigger_id = t.id join asset a on a.id = w.asset_id where a.name like 'asset_watcher_gone%' group by classpath"}},
        {"touch": "f1"},
        {"wait": {"dag": "asset_watcher_gone__one", "count": 1}},
        {"replace": {"old": "V = 2", "new": "V = 3"}},
        {"wait_sql": {"sql": "select count(*) from asset_watcher w join asset a on a.id = w.asset_id where a.name like 'asset_watcher_gone%'", "equals": 0}},
        {"sleep": 3},
    ],
}
V = 1
w = os.environ.get("WITNESS_DIR", "/nowhere")
a1 = Asset("asset_watcher_gone_a", watchers=[AssetWatcher(name="asset_watcher_gone_w", trigger=FileDeleteTrigger(filepath=os.path.join(w, "asset_watcher_gone.f1"), poke_interval=1))] if V < 3 else [])
a2 = Asset("asset_watcher_gone_b", watchers=[AssetWatcher(name="asset_watcher_gone_x", trigger=FileDeleteTrigger(filepath=os.path.join(w, "asset_watcher_gone.f2"), poke_interval=1))] if V < 3 else [])
with DAG("asset_watcher_gone__one", schedule=[a1]):
    EmptyOperator(task_id="t")
with DAG("asset_watcher_gone__two", schedule=[a2]):
    EmptyOperator(task_id="t")
