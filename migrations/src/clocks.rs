//! When the clocks of a run's tasks were set: apart from where the run began, which the event that made it decides.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::time_opt;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0008_clocks"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Empty for the runs that there are: those that events made have no clocks yet, and others keep theirs.
        let column = &mut time_opt("clocks_set_at");
        manager.alter_table(Table::alter().table("slipstream_run").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("slipstream_run").drop_column("clocks_set_at").take()).await
    }
}
