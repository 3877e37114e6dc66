//! Slipstream's own tables, in the same database as Airflow's.
//!
//! They are additive and named `slipstream_…`; Airflow's tables are never altered. Removing them leaves a stock database.
//! What has been applied is written in `slipstream_migration`.
//!
//! A migration that has been released is never changed: a change is a new one.

mod aiflow;
mod asset_updates;
mod clocks;
mod event_log;
mod runs;
mod sources;
mod tables;
mod tasks;
mod triggers;

use sea_orm_migration::sea_orm::DynIden;
use sea_orm_migration::sea_query::IntoIden;
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

/// All migrations, in their order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(event_log::Migration),
            Box::new(triggers::Migration),
            Box::new(tasks::Migration),
            Box::new(runs::Migration),
            Box::new(aiflow::Migration),
            Box::new(sources::Migration),
            Box::new(asset_updates::Migration),
            Box::new(clocks::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "slipstream_migration".into_iden()
    }
}
