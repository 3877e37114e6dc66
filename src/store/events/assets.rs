//! Events that are updates of assets too, so that Dags with a stock asset schedule react.
//!
//! An event with the extension attribute `asseturi` becomes a row of `asset_event` in the transaction that appends it, and
//! what waits for the asset is queued; `partitionkey` is its partition. Mirrors `POST /assets/events` of the REST API.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Appended, Existed, NewEvent, append};
use crate::store::execution::{Options, assets};
use crate::store::{StoreError, Tx};

/// Extension attribute: the asset that an event updates.
pub const URI: &str = "asseturi";
/// Its partition.
const PARTITION: &str = "partitionkey";

/// What to do about an asset that no active Dag has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The sender is told, and nothing is stored.
    Refused,
    /// The event itself counts: who wrote it to a broker cannot be told.
    PassedOver,
}

/// Appends events, as [`append`], and updates the assets that new ones name.
///
/// # Errors
/// [`StoreError::NotFound`] for an asset that no active Dag has, if it is to be refused; as [`append`].
pub async fn append_and_update(
    tx: &Tx,
    events: &[NewEvent],
    unknown: Unknown,
    now: DateTime<Utc>,
    options: &Options,
) -> Result<Vec<Appended>, StoreError> {
    let done = append(tx, events, now).await?;
    for (event, appended) in events.iter().zip(&done) {
        let Some(uri) = event.extensions.get(URI).and_then(Value::as_str) else { continue };
        if appended.existed == Existed::Duplicate {
            continue;
        }
        let mut extra = match &event.data {
            Value::Object(map) => Value::Object(map.clone()),
            Value::Null => json!({}),
            other => json!({"data": other}),
        };
        extra["from_event"] = json!(appended.position);
        let partition = event.extensions.get(PARTITION).and_then(Value::as_str);
        if assets::register_external(tx, uri, &extra, partition, options).await?.is_none() {
            if unknown == Unknown::Refused {
                return Err(StoreError::NotFound(format!(
                    "nothing was stored: the active asset `{uri}` (`{URI}`; its URI as `airflow assets list` shows it) was"
                )));
            }
            tracing::warn!(uri, position = %appended.position, "An event names an asset that no active Dag has");
        }
    }
    Ok(done)
}
