//! Dags that are no longer in their file, or whose bundle is gone (`DagFileProcessorManager.deactivate_stale_dags`).

use std::path::Path;

use chrono::TimeDelta;

use crate::store::dag_processor::dags::DagPlace;

use super::files::{FileKey, Files};

/// Those of `places` that are stale, given when their files were last parsed.
pub(super) fn stale(places: &[DagPlace], files: &Files, threshold: TimeDelta) -> Vec<String> {
    places
        .iter()
        .filter(|place| is_stale(place, files, threshold))
        .map(|place| place.dag_id.clone())
        .collect()
}

fn is_stale(place: &DagPlace, files: &Files, threshold: TimeDelta) -> bool {
    // A row without a bundle is from before Airflow 3 and was never parsed since.
    let Some(bundle) = place.bundle.as_ref().filter(|_| place.bundle_is_active) else { return true };
    let (Some(file), Some(last_parsed)) = (&place.file, place.last_parsed) else { return false };
    let state = |path: &str| files.get(&FileKey { bundle: bundle.clone(), path: path.to_owned() });
    // A Dag in an archive has a path within it; the archive is the file.
    let archive = || Path::new(file).parent().and_then(Path::to_str).and_then(state);
    let Some(finish) = state(file).or_else(archive).and_then(|state| state.last_finish) else { return false };
    last_parsed + threshold < finish
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dag_that_its_file_did_not_bring_again_is_stale() {
        let mut files = Files::default();
        files.replace("b", Path::new("/b"), &["f.py".to_owned(), "z.zip".to_owned()]);
        for path in ["f.py", "z.zip"] {
            let file = FileKey { bundle: "b".to_owned(), path: path.to_owned() };
            files.get_mut(&file).unwrap().last_finish = Some("2026-01-01T00:02:00Z".parse().unwrap());
        }
        let place = |id: &str, file: &str, parsed: &str| DagPlace {
            dag_id: id.to_owned(),
            file: Some(file.to_owned()),
            bundle: Some("b".to_owned()),
            last_parsed: Some(parsed.parse().unwrap()),
            bundle_is_active: true,
        };
        let places = [
            place("fresh", "f.py", "2026-01-01T00:01:30Z"),
            place("gone", "f.py", "2026-01-01T00:01:00Z"),
            place("in archive", "z.zip/a.py", "2026-01-01T00:01:00Z"),
            place("other file", "g.py", "2020-01-01T00:00:00Z"),
            DagPlace { bundle_is_active: false, ..place("no bundle", "f.py", "2026-01-01T00:02:00Z") },
        ];
        assert_eq!(stale(&places, &files, TimeDelta::seconds(50)), ["gone", "in archive", "no bundle"]);
    }
}
