//! Events that a trigger could not judge, and firings whose effect failed: try again, or let them be.

use chrono::{DateTime, Utc};
use slipstream_core::event::Position;

use super::TriggerError;
use crate::events::engine::Engine;
use crate::store::Db;
use crate::store::events as log;
use crate::store::triggers::dead_letters::{self, Status};
use crate::store::triggers::{cursor, firings, registry};

/// Which parked events are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// The one at a position.
    At(Position),
}

impl Which {
    fn means(self, position: Position) -> bool {
        self == Self::All || self == Self::At(position)
    }
}

/// Puts parked events to their trigger again, in the order of the log, and makes runs that could not be made. Returns how
/// many were tried; those that fail again stay parked.
///
/// # Errors
/// As any statement.
pub async fn retry(
    engine: &mut Engine,
    name: &str,
    which: Which,
    now: DateTime<Utc>,
) -> Result<usize, TriggerError> {
    let db = engine.db().clone();
    let row = registry::named(&db, name).await?;
    let letters = dead_letters::parked(&db, row.id).await?;
    let mut tried = 0;
    for letter in letters.iter().filter(|letter| which.means(letter.position)) {
        if engine.judge_again(letter, now).await? {
            tried += 1;
        }
    }
    let tx = db.begin().await?;
    cursor::wait_for(&tx, cursor::ENGINE, log::head(&tx).await?).await?;
    let failed = firings::failed(&tx, row.id).await?;
    for firing in failed.into_iter().filter(|firing| which.means(firing.position)) {
        let again = firings::Firing { status: firings::Status::Pending, reason: None, ..firing };
        firings::settle(&tx, &again, now).await?;
        tried += 1;
    }
    tx.commit().await?;
    engine.resume(now).await?;
    Ok(tried)
}

/// Lets parked events and failed firings be. Returns how many there were.
///
/// # Errors
/// As any statement.
pub async fn skip(db: &Db, name: &str, which: Which, now: DateTime<Utc>) -> Result<usize, TriggerError> {
    let tx = db.begin().await?;
    cursor::wait_for(&tx, cursor::ENGINE, log::head(&tx).await?).await?;
    let row = registry::named(&tx, name).await?;
    let mut skipped = 0;
    for letter in
        dead_letters::parked(&tx, row.id).await?.iter().filter(|letter| which.means(letter.position))
    {
        skipped += usize::from(dead_letters::settle(&tx, letter, Status::Skipped).await?);
    }
    for firing in
        firings::failed(&tx, row.id).await?.into_iter().filter(|firing| which.means(firing.position))
    {
        let skip = firings::Firing { status: firings::Status::Skipped, ..firing };
        firings::settle(&tx, &skip, now).await?;
        skipped += 1;
    }
    tx.commit().await?;
    Ok(skipped)
}
