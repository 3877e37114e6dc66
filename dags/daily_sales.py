"""A daily batch: one mapped task per shop, then a summary. Mapping, retries, a pool of results in XCom."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import dag, task


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False, tags=["example"], doc_md=__doc__)
def daily_sales():
    @task
    def shops() -> list[str]:
        return ["Aachen", "Bilbao", "Cork", "Delft"]

    @task(retries=2, retry_delay=timedelta(seconds=5), max_active_tis_per_dag=2)
    def sales_of(shop: str) -> dict:
        return {"shop": shop, "sold": sum(map(ord, shop))}

    @task
    def summary(rows) -> int:
        rows = list(rows)
        for row in rows:
            print(f"{row['shop']}: {row['sold']}")
        return sum(row["sold"] for row in rows)

    summary(sales_of.expand(shop=shops()))


daily_sales()
