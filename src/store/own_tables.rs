//! Our own tables, `slipstream_…`: made and removed as a whole (crate `slipstream-migrations`).

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use sea_orm_migration::MigratorTrait;
use slipstream_migrations::Migrator;

use super::{Conn, Db, Dialect, StoreError};

/// The advisory lock of PostgreSQL under which tables are made: "slip" in ASCII.
const LOCK: i64 = 0x736c_6970;

/// Makes the tables that are missing. Does nothing where they are up to date; of several processes at once, one makes them
/// and the others wait for it.
///
/// # Errors
/// As any statement; then nothing was done. Also when the tables belong to a newer version.
pub async fn migrate(db: &Db) -> Result<(), StoreError> {
    let tx = locked(db).await?;
    Migrator::up(&tx, None).await?;
    db.commit_migration(tx).await
}

/// Removes all our tables with everything in them. Airflow's stay as they are.
///
/// # Errors
/// As any statement; then nothing was done. Also when the tables belong to a newer version.
pub async fn drop(db: &Db) -> Result<(), StoreError> {
    let tx = locked(db).await?;
    Migrator::reset(&tx).await?;
    db.commit_migration(tx).await
}

async fn locked(db: &Db) -> Result<DatabaseTransaction, StoreError> {
    // On SQLite a transaction holds the write lock from its start.
    let tx = db.begin_migration().await?;
    if db.dialect() == Dialect::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    Ok(tx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    async fn ours(db: &Db) -> i64 {
        let tables = match db.dialect() {
            Dialect::Postgres => "SELECT table_name AS name FROM information_schema.tables",
            Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        };
        let sql = format!("SELECT COUNT(*) AS n FROM ({tables}) t WHERE name LIKE 'slipstream%'");
        testing::first(db, &sql).await.int("n").unwrap()
    }

    #[test]
    fn tables_are_made_once_by_several_at_once_and_can_be_removed() {
        testing::on_each_database(async |db| {
            assert_eq!(ours(db).await, 0);
            let (one, two, three) = tokio::join!(migrate(db), migrate(db), migrate(db));
            one.and(two).and(three).unwrap();
            let made = ours(db).await;
            assert!(made > 15);
            let head = testing::first(db, "SELECT last_position FROM slipstream_log_head WHERE id = 1").await;
            assert_eq!(head.int("last_position").unwrap(), 0);
            drop(db).await.unwrap();
            assert_eq!(ours(db).await, 0);
            migrate(db).await.unwrap();
            assert_eq!(ours(db).await, made);
        });
    }
}
