//! Has parse results written to the database.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::python::{PythonError, Service};

use super::child::Parsed;
use super::files::{FileKey, FileState};
use super::refresh::Checkout;

/// How long the writing of a batch may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Most files whose results are written together.
const BATCH: usize = 16;

/// Most bytes of results that are written together, unless one alone is larger.
const BATCH_BYTES: usize = 8 << 20;

/// How long a result waits for others while there are more to come.
const WAIT: Duration = Duration::from_millis(200);

/// A result that is not in the database yet.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Its file.
    pub(super) file: FileKey,
    /// Where the file's bundle was.
    pub(super) checkout: Checkout,
    /// The result.
    pub(super) parsed: Parsed,
    /// How long the parse took.
    pub(super) duration: Duration,
    /// The file's state once it is written.
    pub(super) state: FileState,
    /// When it came.
    pub(super) since: Instant,
}

/// Whether results are awaited of which some could be written together with those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// Files wait to be parsed.
    ToCome,
    /// What is there is all.
    None,
}

/// Takes those results, in the order in which they came, that are to be written together now; none if it pays to wait.
pub(super) fn batch(unwritten: &mut VecDeque<Unwritten>, more: More) -> Vec<Unwritten> {
    let Some(first) = unwritten.front() else { return Vec::new() };
    if more == More::ToCome && unwritten.len() < BATCH && first.since.elapsed() < WAIT {
        return Vec::new();
    }
    let (mut batch, mut dags, mut bytes): (Vec<Unwritten>, HashSet<String>, usize) = Default::default();
    while let Some(next) = unwritten.front() {
        // A Dag in two files is written by one after the other. Of results that say more than Dags, each stands alone.
        let fits = batch.last().is_none_or(|last| {
            batch.len() < BATCH
                && bytes + next.parsed.message.len() <= BATCH_BYTES
                && last.file.bundle == next.file.bundle
                && last.checkout == next.checkout
                && last.parsed.says_dags_only
                && next.parsed.says_dags_only
                && next.parsed.dag_ids.iter().all(|dag| !dags.contains(dag))
        });
        if !fits {
            break;
        }
        bytes += next.parsed.message.len();
        dags.extend(next.parsed.dag_ids.iter().cloned());
        batch.extend(unwritten.pop_front());
    }
    batch
}

/// Writes results of one bundle, with Airflow's own `update_dag_parsing_results_in_db`; for each file, why it failed.
///
/// # Errors
/// When none could be written.
pub(super) async fn write(
    service: &Service,
    results: &[Unwritten],
) -> Result<Vec<Option<String>>, PythonError> {
    let Some(Unwritten { file, checkout, .. }) = results.first() else { return Ok(Vec::new()) };
    let files: Vec<Value> = results
        .iter()
        .map(|result| {
            json!({
                "relative_fileloc": result.file.path,
                "run_duration": result.duration.as_secs_f64(),
                "size": result.parsed.message.len(),
            })
        })
        .collect();
    let args = json!({
        "bundle_name": file.bundle,
        "bundle_version": checkout.version,
        "version_data": checkout.version_data,
        "files": files,
    });
    let messages: Vec<u8> = results.iter().flat_map(|result| &result.parsed.message).copied().collect();
    let answer = service.call_with("sync.results", args, &messages, LIMIT).await?;
    serde_json::from_value(answer).map_err(|error| PythonError::Io(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(file: &str, dag: &str, says_dags_only: bool) -> Unwritten {
        Unwritten {
            file: FileKey { bundle: "b".to_owned(), path: file.to_owned() },
            checkout: Checkout { path: "/".into(), version: None, version_data: Value::Null },
            parsed: Parsed {
                message: vec![0; 10],
                hash: [0; 16],
                dag_ids: vec![dag.to_owned()],
                import_errors: 0,
                says_dags_only,
            },
            duration: Duration::from_secs(1),
            state: FileState::default(),
            since: Instant::now(),
        }
    }

    fn files(batch: &[Unwritten]) -> Vec<&str> {
        batch.iter().map(|result| result.file.path.as_str()).collect()
    }

    #[test]
    fn results_are_written_together_unless_a_dag_is_in_two_or_one_says_more_than_dags() {
        let mut waiting: VecDeque<_> = [
            result("1", "a", true),
            result("2", "b", true),
            result("3", "a", true),
            result("4", "c", false),
            result("5", "d", true),
        ]
        .into();
        assert!(batch(&mut waiting, More::ToCome).is_empty(), "others may come");
        assert_eq!(files(&batch(&mut waiting, More::None)), ["1", "2"]);
        assert_eq!(files(&batch(&mut waiting, More::None)), ["3"]);
        assert_eq!(files(&batch(&mut waiting, More::None)), ["4"]);
        assert_eq!(files(&batch(&mut waiting, More::None)), ["5"]);
    }

    #[test]
    fn a_result_does_not_wait_for_ever() {
        let mut waiting: VecDeque<_> = [result("1", "a", true)].into();
        waiting[0].since -= WAIT;
        assert_eq!(files(&batch(&mut waiting, More::ToCome)), ["1"]);
    }
}
