//! What is tried again.

use std::time::Duration;

use crate::store::error::StoreError;

/// How often a transaction is tried before its error is the caller's: `[database] max_db_retries` is 3 in Airflow; short
/// transactions under several schedulers want a few more.
const TRIES: u32 = 5;

/// Runs `work` again, a few times and a little later each time, while it fails in a transient way.
///
/// `work` must do everything in one transaction of its own: a failed try has then done nothing.
///
/// # Errors
/// The last try's error, or at once one that is not transient.
pub async fn retry<T, F, W>(what: &'static str, mut work: W) -> Result<T, StoreError>
where
    W: FnMut() -> F,
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = Duration::from_millis(20);
    for attempt in 1.. {
        match work().await {
            Err(error) if error.is_transient() && attempt < TRIES => {
                tracing::debug!(what, attempt, %error, "transaction is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 3).min(Duration::from_secs(2));
            }
            result => return result,
        }
    }
    unreachable!("the loop above returns")
}
