//! Whether the metadata database is one that this version understands: `alembic_version` against the revisions we know.

use super::{Conn, Db, StoreError};

/// Airflow's minor versions and the revision of their schema.
pub const SUPPORTED: &[(&str, &str)] = &[("3.3", "d2f4e1b3c5a7")];

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// There are no tables of Airflow.
    #[error("the metadata database has no tables of Airflow: run `airflow db migrate` first")]
    NotMigrated,
    /// It belongs to another version of Airflow.
    #[error(
        "the metadata database is at revision {revision}, which Slipstream does not know; it supports {}. \
         Run `airflow db migrate` with a supported Airflow, or use another version of Slipstream",
        supported()
    )]
    Unknown {
        /// The revision found.
        revision: String,
    },
    /// It could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn supported() -> String {
    let all: Vec<_> = SUPPORTED
        .iter()
        .map(|(airflow, revision)| format!("Airflow {airflow} (revision {revision})"))
        .collect();
    all.join(", ")
}

/// Airflow's minor version, by the revision of the database's schema.
///
/// # Errors
/// [`SchemaError`], with what to do about it.
pub async fn check(db: &Db) -> Result<&'static str, SchemaError> {
    let row = match db.one(db.sql("SELECT version_num FROM alembic_version")).await {
        Ok(row) => row,
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(StoreError::Db(text)) if text.contains("alembic_version") => {
            return Err(SchemaError::NotMigrated);
        }
        Err(error) => return Err(error.into()),
    };
    let revision = row.ok_or(SchemaError::NotMigrated)?.text("version_num")?;
    match SUPPORTED.iter().find(|(_, known)| *known == revision) {
        Some((airflow, _)) => Ok(airflow),
        None => Err(SchemaError::Unknown { revision }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::runs::testing::TestDb;

    #[tokio::test]
    async fn an_unknown_revision_is_named_with_the_versions_that_are_known() {
        for test in TestDb::all().await {
            assert_eq!(check(&test.db).await.unwrap(), "3.3");
            test.run(&["UPDATE alembic_version SET version_num = 'abc'"]).await;
            let error = check(&test.db).await.unwrap_err().to_string();
            assert!(error.contains("revision abc") && error.contains("Airflow 3.3"), "{error}");
            test.run(&["DROP TABLE alembic_version"]).await;
            assert!(matches!(check(&test.db).await, Err(SchemaError::NotMigrated)));
            test.drop().await;
        }
    }
}
