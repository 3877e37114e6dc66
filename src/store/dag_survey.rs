//! The newest version of every active Dag, including those that cannot be understood: for the check before switching.

use slipstream_core::ids::DagId;

use super::dag_bag::{CachedDag, read_version, select_versions};
use super::{Conn, StoreError};

/// A Dag that `airflow dags list` shows.
#[derive(Debug)]
pub struct SurveyedDag {
    /// `dag.dag_id`.
    pub dag_id: DagId,
    /// Its newest version, or why Slipstream cannot schedule it.
    pub dag: Result<CachedDag, String>,
}

/// Versions that are held in memory at once.
const CHUNK: usize = 50;

/// Calls `each` for every active Dag, in the order of their ids, a few held in memory at a time.
///
/// # Errors
/// As any statement.
pub async fn survey<C: Conn>(conn: &C, mut each: impl FnMut(SurveyedDag)) -> Result<(), StoreError> {
    let newest = conn.sql(
        "SELECT dv.id FROM dag_version dv JOIN dag d ON d.dag_id = dv.dag_id WHERE d.is_stale = ? AND dv.version_number = \
         (SELECT max(newest.version_number) FROM dag_version newest WHERE newest.dag_id = dv.dag_id) ORDER BY dv.dag_id",
    );
    let ids = conn.all(newest.bind(false)).await?;
    let ids = ids.iter().map(|row| row.uuid("id")).collect::<Result<Vec<_>, _>>()?;
    for chunk in ids.chunks(CHUNK) {
        let mut found = Vec::with_capacity(chunk.len());
        for row in conn.all(select_versions(conn, chunk)).await? {
            let dag = read_version(&row).map_err(|error| error.to_string());
            found.push(SurveyedDag { dag_id: row.text("dag_id")?.into(), dag });
        }
        found.sort_unstable_by(|a, b| a.dag_id.cmp(&b.dag_id));
        found.into_iter().for_each(&mut each);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::runs::testing::TestDb;

    #[tokio::test]
    async fn a_deployment_without_dags_has_nothing_to_survey() {
        for test in TestDb::all().await {
            let mut seen = Vec::new();
            survey(&test.db, |dag| seen.push(dag.dag_id)).await.unwrap();
            assert_eq!(seen, Vec::<DagId>::new());
            test.drop().await;
        }
    }
}
