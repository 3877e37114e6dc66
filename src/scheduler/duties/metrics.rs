//! Gauges of pools and task instances (`_emit_pool_metrics`, `_emit_ti_metrics`, `_emit_running_dags_metric`).

use std::collections::BTreeMap;

use crate::store::duties::metrics::{self, PoolUse, TiGauge};
use crate::store::{Db, StoreError};

/// The task instances of the last look: what has gone since must be set to zero once.
#[derive(Clone, Debug, Default)]
pub struct TiGauges {
    last: BTreeMap<TiGauge, i64>,
}

impl TiGauges {
    /// Counts task instances, with a zero for each gauge of the last look that has nothing to count now.
    ///
    /// # Errors
    /// As any statement.
    pub async fn run_once(&mut self, db: &Db) -> Result<BTreeMap<TiGauge, i64>, StoreError> {
        let counted = metrics::task_instances(db).await?;
        let mut gauges = counted.clone();
        for gauge in self.last.keys() {
            gauges.entry(gauge.clone()).or_insert(0);
        }
        self.last = counted;
        Ok(gauges)
    }
}

/// The use of every pool.
///
/// # Errors
/// As any statement.
pub async fn pools(db: &Db) -> Result<BTreeMap<String, PoolUse>, StoreError> {
    metrics::pools(db).await
}

/// How many runs are running.
///
/// # Errors
/// As any statement.
pub async fn running_runs(db: &Db) -> Result<i64, StoreError> {
    metrics::running_runs(db).await
}
