import os
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher, task
CASE = {
    "about": "a watched asset used by a paused Dag and by an active one; the watcher goes away with its Dag",
    "dags": ["gone_asset_watcher__one", "gone_asset_watcher__two"],
    "unpause": ["gone_asset_watcher__one"],
    "actions": [
        {"replace": {"old": "V = 1", "new": "V = 2"}},
        {"wait_sql": {"sql": "select count(*) from asset_watcher w join asset a on a.id = w.asset_id where a.name like 'gone_asset_watcher%'", "equals": 1}},
        {"sleep": 3},
        {"note": {"sql_name": "triggers", "sql": "select classpath, count(*) from trigger t join asset_watcher w on w.trigger_id = t.id join asset a on a.id = w.asset_id where a.name like 'gone_asset_watcher%' group by classpath"}},
        {"touch": "f1"},
        {"wait": {"dag": "gone_asset_watcher__one", "count": 1}},
        {"replace": {"old": "V = 2", "new": "V = 3"}},
        {"wait_sql": {"sql": "select count(*) from asset_watcher w join asset a on a.id = w.asset_id where a.name like 'gone_asset_watcher%'", "equals": 0}},
        {"sleep": 3},
    ],
}
V = 1
w = os.environ.get("WITNESS_DIR", "/nowhere")
a1 = Asset("gone_asset_watcher_a", watchers=[AssetWatcher(name="gone_asset_watcher_w", trigger=FileDeleteTrigger(filepath=os.path.join(w, "gone_asset_watcher.f1"), poke_interval=1))] if V < 3 else [])
a2 = Asset("gone_asset_watcher_b", watchers=[AssetWatcher(name="gone_asset_watcher_x", trigger=FileDeleteTrigger(filepath=os.path.join(w, "gone_asset_watcher.f2"), poke_interval=1))] if V < 3 else [])
with DAG("gone_asset_watcher__one", schedule=[a1]):
    EmptyOperator(task_id="t")
with DAG("gone_asset_watcher__two", schedule=[a2]):
    EmptyOperator(task_id="t")
