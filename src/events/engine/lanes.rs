//! Firings that wait for the active run of their lane to end, in the order of their events.

use chrono::{DateTime, Utc};

use super::Engine;
use super::batch::Care;
use super::effects::Effects;
use super::run::Waiting;
use crate::store::triggers::firings::{self, Firing};
use crate::store::triggers::{cursor, dags};
use crate::store::{Conn, StoreError};

/// Most firings that are looked at in one go.
const MOST: i64 = 500;

impl Engine {
    /// Makes the runs of firings whose lane has become free; one per lane.
    ///
    /// # Errors
    /// As any statement; then nothing was done.
    pub(super) async fn resume_waiting(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        // Without a lock first: mostly all lanes are busy.
        let free = firings::free(&self.db, MOST).await?;
        let left = !free.is_empty() || firings::any_waits(&self.db).await?;
        self.clocks.lanes_looked_at(if left { Waiting::Yes } else { Waiting::No });
        if self.may_go(&self.db, free).await?.is_empty() {
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
        let free = self.may_go(&tx, firings::free(&tx, MOST).await?).await?;
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

    /// Those whose Dag may have runs of triggers.
    async fn may_go<C: Conn>(&self, conn: &C, free: Vec<Firing>) -> Result<Vec<Firing>, StoreError> {
        let dags = dags::flags(conn, free.iter().map(|firing| &firing.dag_id)).await?;
        let may = |firing: &Firing| dags.get(&firing.dag_id).is_some_and(|dag| dag.why_not().is_none());
        Ok(free.into_iter().filter(may).collect())
    }
}
