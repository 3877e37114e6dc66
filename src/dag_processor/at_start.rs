//! What is asked of Airflow before the loop begins, however often the database goes away meanwhile.

use std::time::Duration;

use crate::python::{Cause, PythonError};

/// The pauses between two tries: the first, and the longest.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// Asks until there is an answer, or an error that is not the database's.
///
/// That the database's address is right is known by then: a connection of our own has been made.
pub(super) async fn ask<T>(
    [mut pause, longest]: [Duration; 2],
    mut call: impl AsyncFnMut() -> Result<T, PythonError>,
) -> Result<T, PythonError> {
    loop {
        match call().await {
            Err(error @ PythonError::Op { cause: Cause::Database, .. }) => {
                tracing::error!(%error, "the database went away while the dag processor started; it tries again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(cause: Cause) -> PythonError {
        PythonError::Op { op: "op".to_owned(), why: "why".to_owned(), cause }
    }

    #[tokio::test]
    async fn a_database_that_goes_away_at_the_start_is_waited_for() {
        let mut calls = 0;
        let answer = ask([Duration::ZERO; 2], async || {
            calls += 1;
            if calls < 12 { Err(raised(Cause::Database)) } else { Ok(calls) }
        });
        assert_eq!(answer.await.unwrap(), 12);
    }

    #[tokio::test]
    async fn any_other_error_ends_the_start_at_once() {
        let mut calls = 0;
        let answer = ask::<()>([Duration::ZERO; 2], async || {
            calls += 1;
            Err(raised(Cause::Other))
        })
        .await;
        assert!(matches!(answer, Err(PythonError::Op { cause: Cause::Other, .. })));
        assert_eq!(calls, 1);
    }
}
