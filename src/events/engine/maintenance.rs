//! Removing what is no longer needed.

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::event::{Pattern, Position};

use super::Engine;
use crate::store::events as log;
use crate::store::triggers::{active_runs, cleanup, cursor, decisions, observed};
use crate::store::{StoreError, Tx};

/// How long states of ended runs are remembered.
const REMEMBERED: TimeDelta = TimeDelta::days(7);
/// How long firings are kept after their events.
const FIRINGS_KEPT: TimeDelta = TimeDelta::days(30);

impl Engine {
    /// Removes what ended runs and removed events leave behind.
    ///
    /// # Errors
    /// As any statement; then nothing was removed.
    pub(super) async fn maintain(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tx = self.db.begin().await?;
        if cursor::lock(&tx, cursor::ENGINE).await?.is_none() {
            return tx.rollback().await;
        }
        cleanup::progress_of_ended_runs(&tx).await?;
        cleanup::runs_that_are_gone(&tx).await?;
        observed::forget_before(&tx, now - REMEMBERED).await?;
        self.unwatch(&tx).await?;
        if let Some(first) = log::first_position(&tx).await? {
            let gone = Position(first.0 - 1);
            decisions::remove_up_to(&tx, gone).await?;
        }
        cleanup::firings(&tx, now - FIRINGS_KEPT).await?;
        tx.commit().await
    }

    /// Forgets the states of Dags that no trigger waits for any more: who is waited for must be known to be (a task of such a
    /// Dag starts again only when the log has the end of the execution before).
    async fn unwatch(&mut self, tx: &Tx) -> Result<(), StoreError> {
        self.catalog.refresh(tx).await?;
        let runs = active_runs::of_dags(tx, self.catalog.task_dags()).await?;
        let pinned = runs.iter().filter_map(|run| run.pinned).collect();
        self.catalog.read_pinned(tx, &self.bag, pinned).await?;
        let keys: Vec<Pattern> =
            self.catalog.airflow_keys().into_iter().chain(self.watch.told().iter().cloned()).collect();
        observed::unwatch_others(tx, &keys).await
    }
}
