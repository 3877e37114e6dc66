CASE = {
    "about": "partitions whose keys a task sets",
    "batch": "examples",
    "example": ["airflow/example_dags/example_asset_partition.py"],
    "prefix": "ex_asset_partition_",
    "dags": [
        "ingest_regional_sales",
        "aggregate_regional_sales",
        "ingest_region_stats",
        "clean_and_combine_player_stats",
    ],
    "unpause": ["ingest_regional_sales", "aggregate_regional_sales"],
    "actions": [
        {"trigger": {"dag": "ingest_regional_sales"}},
        {"wait": {"dag": "ingest_regional_sales", "count": 1}},
        {"wait": {"dag": "aggregate_regional_sales", "count": 1}},
        {"wait": "runs"},
    ],
    "mask": {"run_order|aggregate_regional_sales": "its two runs are made at once, in no order"},
}
