//! Sources of events outside of the database (Kafka, NATS): who reads them, and how far.

use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::tables::{bigint, bigint_opt, drop, json, table, text, text_opt, time, time_opt, uuid_opt};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "0006_sources"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The first form of this table was never written to.
        drop(manager, &["slipstream_source"]).await?;
        let columns = vec![
            text("name"),
            text("kind"),
            uuid_opt("owner"),
            text_opt("holder"),
            time_opt("lease_until"),
            bigint("taken"),
            bigint("unreadable"),
            text_opt("error"),
            time_opt("error_at"),
            time("updated_at"),
        ];
        manager.create_table(table("slipstream_source", columns, &["name"])).await?;
        let columns = vec![
            text("source"),
            text("partition"),
            bigint("next_offset"),
            bigint_opt("lag"),
            time("updated_at"),
        ];
        manager.create_table(table("slipstream_source_offset", columns, &["source", "partition"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["slipstream_source_offset", "slipstream_source"]).await?;
        let columns = vec![text("name"), json("offsets"), time("updated_at")];
        manager.create_table(table("slipstream_source", columns, &["name"])).await
    }
}
