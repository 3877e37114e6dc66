//! The event log: events, its head, who reads it and who may.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::sea_query::Query;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{Unique, bigint, drop, index, int, json, table, text, text_opt, time, time_opt};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0001_event_log"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        events(manager).await?;
        head(manager).await?;
        let columns =
            vec![text("name"), json("filter"), bigint("position"), time("created_at"), time("updated_at")];
        manager.create_table(table("slipstream_subscription", columns, &["name"])).await?;
        let columns = vec![
            text("name"),
            text("hash"),
            json("namespaces"),
            json("rights"),
            time("created_at"),
            time_opt("expires_at"),
        ];
        manager.create_table(table("slipstream_token", columns, &["name"])).await?;
        let columns = vec![text("name"), json("offsets"), time("updated_at")];
        manager.create_table(table("slipstream_source", columns, &["name"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(
            manager,
            &[
                "slipstream_source",
                "slipstream_token",
                "slipstream_subscription",
                "slipstream_log_head",
                "slipstream_event",
            ],
        )
        .await
    }
}

async fn events(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "slipstream_event";
    let columns = vec![
        bigint("position"),
        text("namespace"),
        text("key"),
        text("type"),
        text("source"),
        text("id"),
        text_opt("sender"),
        time("time"),
        time("received_at"),
        text_opt("scope_dag_id"),
        text_opt("scope_run_id"),
        json("data"),
        json("extensions"),
    ];
    manager.create_table(table(name, columns, &["position"])).await?;
    index(manager, name, &["source", "id"], Unique::Yes).await?;
    index(manager, name, &["namespace", "key", "position"], Unique::No).await?;
    index(manager, name, &["received_at"], Unique::No).await
}

/// One row with the last position. Whoever appends updates it first, so that positions are given in the order of commits
/// and without gaps.
async fn head(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "slipstream_log_head";
    manager.create_table(table(name, vec![int("id"), bigint("last_position")], &["id"])).await?;
    let row = Query::insert()
        .into_table(name)
        .columns(["id", "last_position"])
        .values_panic([1.into(), 0.into()])
        .take();
    manager.exec_stmt(row).await
}
