//! Commands to tasks inside a run, executions of tasks, and the states of tasks and runs as last seen.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{
    Unique, bigint, drop, index, int, json_opt, serial, table, text, text_opt, text_or_empty, time, time_opt,
    uuid, uuid_opt,
};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0003_tasks"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = "slipstream_command";
        let columns = vec![
            serial("id"),
            uuid("firing_id"),
            text("dag_id"),
            text("run_id"),
            text("task_id"),
            int("map_index").default(-1).take(),
            text("action"),
            json_opt("options"),
            text("status"),
            text_opt("reason"),
            time("created_at"),
            time_opt("done_at"),
        ];
        manager.create_table(table(name, columns, &[])).await?;
        index(manager, name, &["status", "dag_id", "run_id"], Unique::No).await?;
        executions(manager).await?;
        let columns = vec![
            text("dag_id"),
            text("run_id"),
            text_or_empty("task_id"),
            int("map_index"),
            text_opt("state"),
            int("try_number"),
            time("seen_at"),
        ];
        let key = &["dag_id", "run_id", "task_id", "map_index"];
        manager.create_table(table("slipstream_observed", columns, key)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["slipstream_observed", "slipstream_execution", "slipstream_command"]).await
    }
}

async fn executions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        text("dag_id"),
        text("run_id"),
        text("task_id"),
        int("map_index"),
        bigint("sequence"),
        uuid_opt("ti_id"),
        int("first_try"),
        uuid_opt("firing_id"),
        time("created_at"),
    ];
    let key = &["dag_id", "run_id", "task_id", "map_index", "sequence"];
    manager.create_table(table("slipstream_execution", columns, key)).await
}
