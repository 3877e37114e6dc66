//! What the loop does for others, and its housekeeping.

use super::*;
use crate::dag_processor::options::Runs;
use crate::store::execution::MultiTeam;
use crate::store::teams;

/// How long old versions of bundles may take to be removed, or one to be checked out.
const LIMIT: Duration = Duration::from_secs(600);

impl Processor {
    /// Takes what others ask for: files to be parsed now, callbacks to be run.
    pub(super) async fn take_requests(&mut self) -> Result<(), StoreError> {
        let db = self.options.db.clone();
        let ready = self.bundles.values().filter(|bundle| bundle.checkout.is_some());
        let names: Vec<String> = ready.map(|bundle| bundle.configured.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let waiting = requests::waiting(&db, &names).await?;
        if waiting.files {
            for (bundle, path) in requests::claim_files(&db, &names).await? {
                if let Some(bundle) = self.bundles.get_mut(&bundle) {
                    bundle.asked = true;
                }
                self.queue.hurry(FileKey { bundle, path }.into());
            }
        }
        if waiting.callbacks {
            let limit = self.options.settings.max_callbacks;
            for request in requests::claim_callbacks(&db, &names, limit).await? {
                self.add_callback(request);
            }
        }
        Ok(())
    }

    /// Queues a callback; a version of the bundle is checked out first if it asks for one.
    fn add_callback(&mut self, request: Value) {
        let text = |name: &str| request[name].as_str().map(str::to_owned);
        let (Some(bundle), Some(path)) = (text("bundle_name"), text("filepath")) else {
            tracing::warn!("a callback names no file; it is skipped");
            return;
        };
        measure::queued_callback(&bundle);
        let version = text("bundle_version");
        let Some(known) = self.bundles.get(&bundle) else { return };
        let item = Item { file: FileKey { bundle: bundle.clone(), path }, version: version.clone() };
        match (&version, &known.checkout) {
            (None, Some(checkout)) => self.queue.add_callback(item, checkout.path.clone(), request),
            _ => {
                let service = known.service.clone();
                self.tasks.spawn(async move {
                    let args = json!({"name": bundle, "version": version});
                    let path = service.call("bundles.at_version", args, LIMIT).await;
                    let path = path.map(|path| PathBuf::from(path.as_str().unwrap_or_default()));
                    Event::Callback { item, path, request }
                });
            }
        }
    }

    /// Marks Dags as stale that are gone, removes warnings of stale Dags.
    pub(super) async fn clean_up(&mut self) -> Result<(), StoreError> {
        let db = &self.options.db;
        let places = dags::places(db).await?;
        let stale = stale::stale(&places, &self.files, delta(self.options.settings.stale_dag_threshold));
        if !stale.is_empty() {
            let count = dags::deactivate(db, &stale).await?;
            tracing::info!(count, dags = ?stale, "marked Dags as stale that are no longer in their files");
        }
        dags::purge_warnings(db).await?;
        Ok(())
    }

    /// Removes checked-out versions of bundles that nothing uses any more.
    pub(super) fn remove_old_versions(&mut self) {
        let every = self.options.settings.bundle_cleanup_interval;
        let any_versioned = self.bundles.values().any(|bundle| bundle.configured.versioned);
        if every.is_zero() || !any_versioned || !self.timers.versions.is_due() {
            return;
        }
        let service = self.service.clone();
        self.tasks.spawn(async move {
            Event::VersionsRemoved(service.call("bundles.remove_stale_versions", json!({}), LIMIT).await)
        });
    }

    /// Says from time to time how the files are doing.
    pub(super) fn print_statistics(&mut self) {
        let every = self.options.settings.print_stats_interval;
        if every.is_zero() || !self.timers.statistics.is_due() {
            return;
        }
        let (mut dags, mut errors, mut count) = (0, 0, 0);
        for (file, state) in self.files.iter() {
            (dags, errors, count) = (dags + state.dags, errors + state.import_errors, count + 1);
            tracing::debug!(%file, dags = state.dags, errors = state.import_errors,
                seconds = state.last_duration, last = ?state.last_finish, "file");
        }
        let (queued, running) = (self.queue.len(), self.running.len());
        measure::files(&self.files, Utc::now());
        tracing::info!(files = count, dags, errors, queued, running, "file processing statistics");
    }

    /// Reads which teams the bundles belong to, where measurements name them.
    pub(super) async fn learn_teams(&mut self) -> Result<(), StoreError> {
        let multi_team = self.options.answers.execution.multi_team == MultiTeam::On;
        if multi_team && metrics::is_on() && self.timers.teams.is_due() {
            metrics::set_teams(teams::of_bundles(&self.options.db).await?);
        }
        Ok(())
    }

    /// Whether every file was parsed as often as was asked.
    pub(super) fn is_done(&self) -> bool {
        let Runs::Times(times) = self.options.runs else { return false };
        let idle = self.running.is_empty() && self.syncing.is_empty() && self.queue.is_empty();
        let listed = self.bundles.values().all(|bundle| bundle.checkout.is_some() && !bundle.busy);
        idle && listed
            && self.passes >= times
            && self.files.iter().all(|(_, state)| self.options.runs.reached(state.run_count))
    }
}
