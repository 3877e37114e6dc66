//! Removing what is no longer needed.

use chrono::{DateTime, TimeDelta, Utc};
use slipstream_core::event::Position;

use super::Engine;
use crate::store::StoreError;
use crate::store::events as log;
use crate::store::triggers::{cleanup, cursor, decisions, observed};

/// How long states of ended runs are remembered.
const REMEMBERED: TimeDelta = TimeDelta::days(7);
/// How long firings are kept after their events.
const FIRINGS_KEPT: TimeDelta = TimeDelta::days(30);

impl Engine {
    /// Removes what ended runs and removed events leave behind.
    ///
    /// # Errors
    /// As any statement; then nothing was removed.
    pub(super) async fn maintain(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tx = self.db.begin().await?;
        if cursor::lock(&tx, cursor::ENGINE).await?.is_none() {
            return tx.rollback().await;
        }
        cleanup::progress_of_ended_runs(&tx).await?;
        cleanup::runs_that_are_gone(&tx).await?;
        observed::forget_before(&tx, now - REMEMBERED).await?;
        if let Some(first) = log::first_position(&tx).await? {
            let gone = Position(first.0 - 1);
            decisions::remove_up_to(&tx, gone).await?;
            cleanup::firings(&tx, gone, now - FIRINGS_KEPT).await?;
        }
        tx.commit().await
    }
}
