//! Firings that wait for the active run of their lane to end, in the order of their events.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Engine;
use super::batch::Care;
use super::effects::Effects;
use crate::store::triggers::firings::{self, Firing};
use crate::store::triggers::registry::Status;
use crate::store::triggers::{active_runs, cursor, dags};
use crate::store::{Conn, StoreError};

/// Most firings that are looked at in one go.
const MOST: i64 = 500;

impl Engine {
    /// Makes the runs of firings whose lane has become free; one per lane.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn resume_waiting(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let waiting = firings::pending(&self.db, MOST).await?;
        self.clocks.lanes_looked_at(waiting.len());
        // Without a lock first: mostly all lanes are busy.
        if self.free(&self.db, waiting).await?.is_empty() {
            return Ok(());
        }
        match self.resume_free(Care::Together, now).await {
            Err(error) if !error.is_transient() => {
                tracing::warn!(%error, "waiting runs could not be made together; each is made by itself");
                self.resume_free(Care::Apart, now).await
            }
            other => other,
        }
    }

    async fn resume_free(&mut self, care: Care, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tx = self.db.begin().await?;
        if cursor::lock(&tx, cursor::ENGINE).await?.is_none() {
            return tx.rollback().await;
        }
        self.catalog.refresh(&tx).await?;
        let free = self.free(&tx, firings::pending(&tx, MOST).await?).await?;
        let mut effects = Effects::new(&tx, &self.bag, &self.options, &self.catalog, care, now);
        for firing in free {
            match self.catalog.dag_trigger(firing.key.trigger) {
                Some(armed) => effects.resume(firing, armed).await?,
                None => {
                    let reason = Some("the trigger is gone".to_owned());
                    let firing = Firing { status: firings::Status::Skipped, reason, ..firing };
                    firings::settle(&tx, &firing, now).await?;
                }
            }
        }
        let hints = effects.finish().await?;
        tx.commit().await?;
        self.tell(hints);
        Ok(())
    }

    /// The first of each lane that nothing keeps waiting.
    async fn free<C: Conn>(&self, conn: &C, waiting: Vec<Firing>) -> Result<Vec<Firing>, StoreError> {
        let dags = dags::flags(conn, waiting.iter().map(|firing| &firing.dag_id)).await?;
        let mut lanes = BTreeSet::new();
        let mut free = Vec::new();
        for firing in waiting {
            if let Some(lane) = &firing.lane
                && !lanes.insert((firing.dag_id.clone(), lane.clone()))
            {
                continue;
            }
            let paused = self.catalog.row(firing.key.trigger).is_some_and(|row| row.status == Status::Paused);
            if paused || dags.get(&firing.dag_id).is_none_or(|dag| dag.why_not().is_some()) {
                continue;
            }
            let busy = match &firing.lane {
                Some(lane) => active_runs::blocking(conn, &firing.dag_id, lane).await?.is_some(),
                None => false,
            };
            if !busy {
                free.push(firing);
            }
        }
        Ok(free)
    }
}
