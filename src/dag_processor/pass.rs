//! Which files are due, and which of them need not be executed.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::dag_processor::dags;
use crate::store::{Db, StoreError};

use super::files::{FileKey, Files};
use super::memory::Holds;
use super::options::{Runs, Settings};
use super::queue::is_recent;

/// The due files.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Those to be executed.
    pub(super) execute: Vec<FileKey>,
    /// Those whose result holds, if the database agrees.
    pub(super) confirm: Vec<FileKey>,
}

/// Sorts the files that are due and not in `busy`.
pub(super) fn due(
    files: &Files,
    settings: &Settings,
    runs: Runs,
    now: DateTime<Utc>,
    busy: impl Fn(&FileKey) -> bool,
) -> Due {
    let interval = delta(settings.file_interval);
    let (least, most) = (delta(settings.min_update_interval), delta(settings.max_parse_age));
    let mut due = Due::default();
    for (file, state) in files.iter() {
        if is_recent(state, now, interval) || runs.reached(state.run_count) || busy(file) {
            continue;
        }
        match &state.memory {
            Some(memory) if memory.holds(now, least, most) != Holds::No => due.confirm.push(file.clone()),
            _ => due.execute.push(file.clone()),
        }
    }
    due
}

/// What the last parse of each Dag, or the last look at it, took from the database.
pub(super) type KnownDags = HashMap<String, dags::Known>;

/// Notes in the database that the Dags of these files were found again; returns the files of which that is not so. `versions` are
/// those of the bundles.
pub(super) async fn confirm(
    db: &Db,
    files: &Files,
    due: Vec<FileKey>,
    settings: &Settings,
    (known, versions): (&mut KnownDags, &HashMap<String, Option<String>>),
    now: DateTime<Utc>,
) -> Result<Vec<FileKey>, StoreError> {
    let (mut unwritten, due) = written(db, files, due, settings, now).await?;
    let mut by_bundle: HashMap<&str, Vec<String>> = HashMap::new();
    for file in &due {
        by_bundle.entry(&file.bundle).or_default().extend(dag_ids(files, file).iter().cloned());
    }
    let mut found = std::collections::HashSet::new();
    for (bundle, ids) in by_bundle {
        let version = versions.get(bundle).and_then(Option::as_deref);
        found.extend(dags::found_again(db, (bundle, version), &ids, now).await?);
        let mut present = dags::known(db, &ids).await?;
        for id in ids {
            let Some(is) = present.remove(&id) else { continue };
            if known.insert(id.clone(), is).is_some_and(|was| !was.still_holds(&is)) {
                found.remove(&id);
            }
        }
    }
    unwritten
        .extend(due.into_iter().filter(|file| !dag_ids(files, file).iter().all(|id| found.contains(id))));
    Ok(unwritten)
}

/// Splits files into those whose result is not in the database, and those whose is.
async fn written(
    db: &Db,
    files: &Files,
    due: Vec<FileKey>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<(Vec<FileKey>, Vec<FileKey>), StoreError> {
    let (least, most) = (delta(settings.min_update_interval), delta(settings.max_parse_age));
    let memory = |file: &FileKey| files.get(file).and_then(|state| state.memory.as_ref());
    let (unseen, mut seen): (Vec<_>, Vec<_>) = due.into_iter().partition(|file| {
        memory(file).is_some_and(|memory| memory.holds(now, least, most) == Holds::IfWritten)
    });
    let ids: Vec<String> = unseen.iter().flat_map(|file| dag_ids(files, file)).cloned().collect();
    let times = dags::serialized_at(db, &ids).await?;
    let (known, unwritten): (Vec<_>, Vec<_>) = unseen.into_iter().partition(|file| {
        memory(file).is_some_and(|memory| {
            memory.dag_ids.iter().all(|id| memory.is_written(times.get(id).copied(), least))
        })
    });
    seen.extend(known);
    Ok((unwritten, seen))
}

fn dag_ids<'a>(files: &'a Files, file: &FileKey) -> &'a [String] {
    files.get(file).and_then(|state| state.memory.as_ref()).map_or(&[], |memory| &memory.dag_ids)
}

/// A length of time of the configuration, to compare times with.
pub(super) fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
