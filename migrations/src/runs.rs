//! From which position of the log on each run sees events.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{Unique, bigint, drop, index, table, text};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0004_runs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![text("dag_id"), text("run_id"), bigint("from_position")];
        manager.create_table(table("slipstream_run", columns, &["dag_id", "run_id"])).await?;
        // Which firing made a run, for lanes and for explaining.
        index(manager, "slipstream_firing", &["result_run_id", "dag_id"], Unique::No).await?;
        index(manager, "slipstream_decision", &["trigger_id", "position"], Unique::No).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["slipstream_run"]).await
    }
}
