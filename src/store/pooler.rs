//! Whether a pooler stands in front of PostgreSQL that gives each transaction another connection of the server, as PgBouncer
//! does with `pool_mode = transaction`.
//!
//! It has to be known before the first statement with a name: through such a pooler a name may mean another process's
//! statement, and that would be executed without an error.

use sea_orm::DbErr;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{self, PgPool, Postgres, Row as _};

use super::unnamed::lost;

/// Which of two connections is asked, one time after the other. A pooler may give out what was used last, or first, or what
/// others leave: each shows in one of the pairs.
const ORDER: [usize; 16] = [0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0];

/// Asks two connections for the number of the process that serves them. Without such a pooler it never changes, and each has
/// its own.
pub(super) async fn found(pool: &PgPool) -> Result<bool, DbErr> {
    if pool.options().get_max_connections() < 2 {
        return Ok(false);
    }
    let mut connections = [pool.acquire().await.map_err(lost)?, pool.acquire().await.map_err(lost)?];
    let mut served: [Option<i32>; 2] = [None; 2];
    for at in ORDER {
        let pid = pid(&mut connections[at]).await?;
        if served[at].is_some_and(|earlier| earlier != pid) || served[1 - at] == Some(pid) {
            tracing::info!(
                "A pooler gives each transaction another connection of PostgreSQL: statements are sent without names, and \
                 nothing is set for longer than a transaction"
            );
            return Ok(true);
        }
        served[at] = Some(pid);
    }
    Ok(false)
}

async fn pid(connection: &mut PoolConnection<Postgres>) -> Result<i32, DbErr> {
    // Not prepared: that would already be a statement with a name.
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(&mut **connection).await.map_err(lost)?;
    row.try_get(0).map_err(lost)
}
