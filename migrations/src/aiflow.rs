//! What AIFlow's notification service needs: its clients and its servers.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{drop, serial, table, text, text_opt, time, time_opt};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0005_aiflow"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![
            serial("id"),
            text_opt("namespace"),
            text_opt("sender"),
            time("created_at"),
            time_opt("deleted_at"),
        ];
        manager.create_table(table("slipstream_client", columns, &[])).await?;
        let columns = vec![text("uri"), time("updated_at")];
        manager.create_table(table("slipstream_member", columns, &["uri"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["slipstream_member", "slipstream_client"]).await
    }
}
