"""Serialises the Dags into the database and queues asset events for them."""

import os
from datetime import datetime, timezone
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.asset import (
    AssetAliasModel,
    AssetDagRunQueue,
    AssetEvent,
    AssetModel,
    DagScheduleAssetReference,
)
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from sqlalchemy import select, text, update

folder = Path(os.environ["DAGS"])
with create_session() as session:
    session.add(DagBundleModel(name="dags-folder"))
bag = DagBag(folder, bundle_name="dags-folder", bundle_path=folder)
assert not bag.import_errors, bag.import_errors
sync_bag_to_db(bag, "dags-folder", None)

moment = datetime(2026, 3, 1, tzinfo=timezone.utc)
with create_session() as session:
    session.execute(update(DagModel).values(is_paused=False))
    only_manual = update(DagModel).where(DagModel.dag_id == "not_by_schedule").values(allowed_run_types=["manual"])
    session.execute(only_manual)
    session.execute(update(DagScheduleAssetReference).values(created_at=moment))
    one, two = (session.scalar(select(AssetModel).where(AssetModel.name == name)) for name in ("one", "two"))
    alias = session.scalar(select(AssetAliasModel))
    alias.assets.append(two)
    for day, asset in ((1, one), (2, one), (3, two)):
        event = AssetEvent(asset_id=asset.id, timestamp=moment.replace(day=day, hour=1), extra={})
        if asset is two:
            event.source_aliases.append(alias)
        session.add(event)
    old = AssetEvent(asset_id=one.id, timestamp=datetime(2026, 2, 1, tzinfo=timezone.utc), extra={})
    session.add(old)
    for dag_id, assets in (("both_assets", (one, two)), ("any_asset", (one,)), ("by_alias", (two,)), ("once", (one,))):
        for asset in assets:
            queued = moment.replace(day=4, hour=asset.id)
            session.add(AssetDagRunQueue(asset_id=asset.id, target_dag_id=dag_id, created_at=queued))
    # A default that the schema no longer allows, as an older Airflow may have stored it.
    rows = session.execute(text("SELECT id, data FROM serialized_dag WHERE dag_id = 'bad_param'")).all()
    for row in rows:
        data = row.data.replace('"default": 3', '"default": "x"')
        assert data != row.data
        session.execute(text("UPDATE serialized_dag SET data = :data WHERE id = :id"), {"data": data, "id": row.id})
