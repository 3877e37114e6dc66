CASE = {
    "about": "an alias of an asset, and those that wait for either",
    "batch": "examples",
    "example": ["airflow/example_dags/example_asset_alias.py"],
    "prefix": "ex_asset_alias_",
    "dags": [
        "asset_s3_bucket_producer",
        "asset_alias_example_alias_producer",
        "asset_s3_bucket_consumer",
        "asset_alias_example_alias_consumer",
    ],
    "actions": [
        {"trigger": {"dag": "asset_s3_bucket_producer"}},
        {"wait": {"dag": "asset_s3_bucket_producer", "count": 1}},
        {"wait": {"dag": "asset_s3_bucket_consumer", "count": 1}},
        {"trigger": {"dag": "asset_alias_example_alias_producer"}},
        {"wait": {"dag": "asset_alias_example_alias_producer", "count": 1}},
        {"wait": {"dag": "asset_s3_bucket_consumer", "count": 2}},
        {"wait": {"dag": "asset_alias_example_alias_consumer", "count": 1}},
        {"wait": "runs"},
    ],
}
