//! A transaction whose statements have no names: each is parsed, used once and forgotten. With every statement inside a
//! transaction this works through poolers that give each transaction another connection of the server: nothing is left on
//! it, and nothing is expected there.

use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, PgPool, Postgres};
use sea_orm::{DbErr, QueryResult, RuntimeErr, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

/// Dropped without [`UnnamedTx::commit`], it is rolled back.
#[derive(Debug)]
pub(super) struct UnnamedTx {
    // Statements of one transaction go one after the other, whoever sends them.
    inner: Mutex<sqlx::Transaction<'static, Postgres>>,
}

impl UnnamedTx {
    /// Starts one with this text, which may set more for it.
    pub(super) async fn begin(pool: &PgPool, text: &str) -> Result<Self, DbErr> {
        let mut tx = pool.begin_with(AssertSqlSafe(text.to_owned())).await.map_err(lost)?;
        // From before names were given up: the driver would go on using those that it remembers.
        if tx.cached_statements_size() > 0 {
            tx.clear_cached_statements().await.map_err(lost)?;
        }
        Ok(Self { inner: Mutex::new(tx) })
    }

    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.inner.into_inner().commit().await.map_err(failed)
    }

    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        self.inner.into_inner().rollback().await.map_err(failed)
    }

    pub(super) async fn exec(&self, statement: Statement) -> Result<u64, DbErr> {
        let mut tx = self.inner.lock().await;
        Ok(query(statement).execute(&mut **tx).await.map_err(failed)?.rows_affected())
    }

    pub(super) async fn all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut tx = self.inner.lock().await;
        let rows = query(statement).fetch_all(&mut **tx).await.map_err(failed)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    pub(super) async fn one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut tx = self.inner.lock().await;
        let row = query(statement).fetch_optional(&mut **tx).await.map_err(failed)?;
        Ok(row.map(QueryResult::from))
    }
}

fn query(statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
    let values = SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new())));
    sqlx::query_with(AssertSqlSafe(statement.sql), values).persistent(false)
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// An error before the first statement: trouble with the connection.
pub(super) fn lost(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

#[cfg(test)]
mod tests {
    use crate::store::testing::{self, Postgres, postgres_target};
    use crate::store::{Conn, Db, Prepared, StoreError, Target, own_tables};

    async fn connect(postgres: &Postgres, prepared: Prepared) -> Db {
        let target = postgres_target(&postgres.url());
        let target = Target { prepared, max_connections: 1, ..target };
        let db = Db::connect(&target).await.unwrap();
        db.exec(db.sql("CREATE TABLE probe (name text PRIMARY KEY)")).await.unwrap();
        db
    }

    async fn names(db: &Db) -> i64 {
        let row = db.one(db.sql("SELECT count(*) AS n FROM pg_prepared_statements")).await;
        row.unwrap().unwrap().int("n").unwrap()
    }

    async fn add(conn: &impl Conn, key: &str) -> Result<u64, StoreError> {
        conn.exec(conn.sql("INSERT INTO probe (name) VALUES (?)").bind(key)).await
    }

    #[test]
    fn nothing_is_left_on_a_connection() {
        testing::block_on(async {
            let Some(postgres) = Postgres::create().await else { return };
            let db = connect(&postgres, Prepared::Unnamed).await;
            assert!(db.is_unnamed());
            own_tables::migrate(&db).await.unwrap();
            own_tables::drop(&db).await.unwrap();
            own_tables::migrate(&db).await.unwrap();
            assert_eq!(add(&db, "alone").await.unwrap(), 1);
            let tx = db.begin().await.unwrap();
            add(&tx, "kept").await.unwrap();
            tx.commit().await.unwrap();
            let tx = db.begin().await.unwrap();
            add(&tx, "dropped").await.unwrap();
            drop(tx);
            assert!(matches!(add(&db, "alone").await, Err(StoreError::Refused(_))));
            let rows = db.all(db.sql("SELECT name FROM probe ORDER BY name")).await.unwrap();
            let keys: Vec<_> = rows.iter().map(|row| row.text("name").unwrap()).collect();
            assert_eq!(keys, ["alone", "kept"]);
            assert_eq!(names(&db).await, 0);
            db.close().await;
            postgres.drop().await;
        });
    }

    #[test]
    fn names_that_are_lost_on_the_way_are_given_up() {
        testing::block_on(async {
            let Some(postgres) = Postgres::create().await else { return };
            let db = connect(&postgres, Prepared::Kept).await;
            add(&db, "one").await.unwrap();
            // What a pooler does when it goes on with another connection.
            db.exec(db.sql("DEALLOCATE ALL")).await.unwrap();
            let error = add(&db, "two").await.unwrap_err();
            assert!(error.is_transient() && db.is_unnamed(), "{error}");
            add(&db, "two").await.unwrap();
            assert_eq!(names(&db).await, 0);
            db.close().await;
            postgres.drop().await;
        });
    }
}
