//! Triggers: what they are, how far they are, what they did and why.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{
    Unique, bigint, drop, index, int, json, serial, table, text, text_opt, text_or_empty, time, time_opt,
    uuid,
};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0002_triggers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        triggers(manager).await?;
        progress(manager).await?;
        firings(manager).await?;
        let columns = vec![
            bigint("position"),
            bigint("trigger_id"),
            text_or_empty("run_id"),
            text("verdict"),
            text("reason"),
        ];
        let key = &["position", "trigger_id", "run_id"];
        manager.create_table(table("slipstream_decision", columns, key)).await?;
        let columns = vec![
            bigint("trigger_id"),
            text_or_empty("run_id"),
            bigint("position"),
            text("error"),
            int("attempts"),
            text("status"),
            time("created_at"),
        ];
        let key = &["trigger_id", "run_id", "position"];
        manager.create_table(table("slipstream_dead_letter", columns, key)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(
            manager,
            &[
                "slipstream_dead_letter",
                "slipstream_decision",
                "slipstream_firing",
                "slipstream_cursor",
                "slipstream_trigger_state",
                "slipstream_trigger",
            ],
        )
        .await
    }
}

async fn triggers(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "slipstream_trigger";
    let columns = vec![
        serial("id"),
        text("name"),
        text("dag_id"),
        text_opt("task_id"),
        text("origin"),
        json("spec"),
        text("spec_hash"),
        text("status"),
        bigint("from_position"),
        time("created_at"),
        time("updated_at"),
    ];
    manager.create_table(table(name, columns, &[])).await?;
    index(manager, name, &["name"], Unique::Yes).await?;
    index(manager, name, &["dag_id"], Unique::No).await
}

async fn progress(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "slipstream_trigger_state";
    let columns = vec![
        bigint("trigger_id"),
        text_or_empty("run_id"),
        text_or_empty("correlation"),
        json("progress"),
        bigint("position"),
        time_opt("wake_at"),
    ];
    manager.create_table(table(name, columns, &["trigger_id", "run_id", "correlation"])).await?;
    index(manager, name, &["wake_at"], Unique::No).await?;
    let columns = vec![text("name"), bigint("position")];
    manager.create_table(table("slipstream_cursor", columns, &["name"])).await
}

async fn firings(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "slipstream_firing";
    let columns = vec![
        uuid("id"),
        bigint("trigger_id"),
        text("dag_id"),
        text_opt("task_id"),
        text_or_empty("scope_run_id"),
        text_or_empty("correlation"),
        bigint("position"),
        json("events"),
        text("action"),
        text("status"),
        text_opt("reason"),
        text_opt("result_run_id"),
        text_opt("lane"),
        time("fired_at"),
        time_opt("done_at"),
    ];
    manager.create_table(table(name, columns, &["id"])).await?;
    let once = &["trigger_id", "scope_run_id", "correlation", "position"];
    index(manager, name, once, Unique::Yes).await?;
    index(manager, name, &["status"], Unique::No).await?;
    index(manager, name, &["dag_id", "lane", "status"], Unique::No).await
}
