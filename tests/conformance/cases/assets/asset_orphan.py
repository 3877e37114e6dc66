from airflow.sdk import DAG, Asset, task
from airflow.providers.standard.operators.empty import EmptyOperator
CASE = {
    "about": "an asset is no longer used by any Dag: inactive; the producer with an inactive outlet; the same name with two uris",
    "dags": ["asset_orphan__p", "asset_orphan__c"],
    "actions": [
        {"trigger": {"dag": "asset_orphan__p"}},
        {"wait": {"dag": "asset_orphan__c", "count": 1}},
        {"replace": {"old": "SCHED = [old]", "new": "SCHED = [new]"}},
        {"wait_sql": {"sql": "select count(*) from dag_schedule_asset_reference s join asset a on a.id=s.asset_id where a.name='asset_orphan_new' and s.dag_id='asset_orphan__c'", "equals": 1}},
        {"replace": {"old": "OUT = [old]", "new": "OUT = [new]"}},
        {"wait_sql": {"sql": "select count(*) from task_outlet_asset_reference s join asset a on a.id=s.asset_id where a.name='asset_orphan_new'", "equals": 1}},
        {"wait_sql": {"sql": "select count(*) from asset_active where name='asset_orphan_old'", "equals": 0}},
        {"trigger": {"dag": "asset_orphan__p", "run": "r2"}},
        {"wait": {"dag": "asset_orphan__c", "count": 2}},
        {"wait": "runs"},
    ],
}
old, new = Asset("asset_orphan_old", uri="x-case://asset_orphan/old", extra={"a": 1}), Asset("asset_orphan_new", uri="x-case://asset_orphan/new", group="g2")
SCHED = [old]
OUT = [old]
with DAG("asset_orphan__p", schedule=None):
    EmptyOperator(task_id="p", outlets=OUT)
with DAG("asset_orphan__c", schedule=SCHED):
    EmptyOperator(task_id="c", inlets=SCHED)
