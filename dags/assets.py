"""Assets: one Dag makes a price list every hour, another runs whenever there is a new one."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Asset, dag, task

prices = Asset(name="prices", uri="file:///tmp/prices.csv", group="examples")


@dag(schedule="@hourly", start_date=datetime(2026, 1, 1), catchup=False, tags=["example"], doc_md=__doc__)
def make_prices():
    @task(outlets=[prices])
    def collect():
        print("new prices")

    collect()


@dag(schedule=[prices], start_date=datetime(2026, 1, 1), tags=["example"], doc_md=__doc__)
def use_prices():
    @task
    def update_shop(triggering_asset_events=None):
        for asset, events in (triggering_asset_events or {}).items():
            print(asset, len(events))

    update_shop()


make_prices()
use_prices()
