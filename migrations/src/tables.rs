//! What all tables have in common.

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::DbErr;
use sea_orm_migration::sea_query::{ColumnDef, Index, Table, TableCreateStatement};

/// A table under construction; its first key columns are its primary key.
pub(crate) fn table(
    name: &'static str,
    columns: Vec<ColumnDef>,
    key: &[&'static str],
) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    if !key.is_empty() {
        let mut primary = Index::create();
        for column in key {
            primary.col(*column);
        }
        table.primary_key(&mut primary);
    }
    table
}

/// Makes an index named after its table and first column (PostgreSQL cuts names at 63 bytes).
pub(crate) async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
    unique: Unique,
) -> Result<(), DbErr> {
    let prefix = if unique == Unique::Yes { "uq" } else { "idx" };
    let mut index = Index::create();
    index.name(format!("{prefix}_{table}_{}", columns[0])).table(table);
    for column in columns {
        index.col(*column);
    }
    if unique == Unique::Yes {
        index.unique();
    }
    manager.create_index(index).await
}

/// Removes tables.
pub(crate) async fn drop(manager: &SchemaManager<'_>, tables: &[&'static str]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(*table).if_exists().take()).await?;
    }
    Ok(())
}

/// Whether an index is a constraint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unique {
    Yes,
    No,
}

/// Text of any length; what may be written is checked before it is written.
pub(crate) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).string().not_null().take()
}

pub(crate) fn text_opt(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).string().null().take()
}

/// A text that is empty unless told otherwise: part of keys, in which a `NULL` would be equal to nothing.
pub(crate) fn text_or_empty(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).string().not_null().default("").take()
}

pub(crate) fn bigint(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

pub(crate) fn bigint_opt(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

pub(crate) fn serial(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().auto_increment().primary_key().take()
}

pub(crate) fn int(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().take()
}

pub(crate) fn time(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).timestamp_with_time_zone().not_null().take()
}

pub(crate) fn time_opt(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).timestamp_with_time_zone().null().take()
}

pub(crate) fn json(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).json().not_null().take()
}

pub(crate) fn json_opt(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).json().null().take()
}

pub(crate) fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

pub(crate) fn uuid_opt(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().null().take()
}
