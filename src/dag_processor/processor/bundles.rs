//! The loop's dealings with bundles and with what changes on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::*;
use crate::python::Service;

/// A list of files that takes long to make is made less often: it may take this part of the time.
const LISTING_SHARE: u32 = 10;

/// The same for looking at the stamps of files.
const SCAN_SHARE: u32 = 50;

impl Bundle {
    pub(super) fn new(configured: Configured, service: Service) -> Self {
        Self {
            configured,
            service,
            checkout: None,
            tree: None,
            busy: false,
            asked: false,
            refreshing: false,
            list_again_at: Instant::now(),
        }
    }
}

impl Processor {
    /// Lets every bundle refresh itself if it is time.
    pub(super) fn check_bundles(&mut self) {
        for bundle in self.bundles.values_mut().filter(|bundle| !bundle.busy) {
            bundle.busy = true;
            let urgency = if bundle.asked { Urgency::Asked } else { Urgency::Routine };
            bundle.refreshing = std::mem::take(&mut bundle.asked);
            let (service, db) = (bundle.service.clone(), self.options.db.clone());
            let (configured, known) = (bundle.configured.clone(), bundle.checkout.clone());
            self.tasks.spawn(async move {
                let result =
                    refresh::check(&service, &db, &configured, known.as_ref(), urgency, Utc::now()).await;
                Event::Checked { bundle: configured.name, result }
            });
        }
    }

    /// Takes over what a check found.
    pub(super) fn checked(&mut self, name: &str, result: Result<Checked, RefreshError>) {
        let Some(bundle) = self.bundles.get_mut(name) else { return };
        bundle.busy = false;
        bundle.refreshing = false;
        let listing = match result {
            Ok(Checked::Listed(listing)) => *listing,
            Ok(Checked::AsBefore) => return,
            Err(error) => {
                tracing::error!(bundle = name, %error, "the bundle could not be refreshed; it is tried again");
                return;
            }
        };
        let pause = Duration::from_secs(1).max(listing.took * LISTING_SHARE);
        bundle.list_again_at = Instant::now() + pause;
        let Listing { checkout, files, tree, .. } = listing;
        if checkout.is_some() {
            bundle.checkout = checkout;
        }
        let Some(root) = bundle.checkout.as_ref().map(|checkout| checkout.path.clone()) else { return };
        let locations: Vec<PathBuf> = files.iter().map(|path| root.join(path)).collect();
        bundle.tree = tree.map(|tree| Arc::new(tree.without(locations.iter().map(PathBuf::as_path))));
        let (new, gone) = self.files.replace(name, &root, &files);
        for file in gone {
            self.forget(&file);
        }
        for file in new {
            self.queue.push_front(file.into());
        }
    }

    /// Stops all work on a file that is gone.
    fn forget(&mut self, file: &FileKey) {
        self.queue.forget(file);
        measure::queue(self.queue.len());
        self.running.retain(|item, child| {
            if item.file == *file {
                tracing::warn!(%file, "the file is gone; its child is stopped");
                child.abort();
                measure::child(file, Action::Stop);
            }
            item.file != *file
        });
    }

    /// Looks, in a thread of its own, for files that changed: a file system that hangs holds up nothing else.
    pub(super) fn scan(&mut self) {
        if self.scanning {
            return;
        }
        self.scanning = true;
        let files: Vec<_> = self
            .files
            .iter()
            .filter_map(|(file, state)| {
                let (stamp, others) = state.watched.clone()?;
                Some((file.clone(), state.location.clone(), stamp, others))
            })
            .collect();
        let now = Instant::now();
        let trees: Vec<_> = self
            .bundles
            .values()
            .filter(|bundle| !bundle.busy && bundle.list_again_at <= now)
            .filter_map(|bundle| Some((bundle.configured.name.clone(), bundle.tree.clone()?)))
            .collect();
        self.tasks.spawn(async move {
            let scan = tokio::task::spawn_blocking(move || look(files, trees)).await;
            Event::Scanned(scan.unwrap_or_default())
        });
    }

    /// Queues what changed.
    pub(super) fn scanned(&mut self, scan: Scan) {
        self.scanning = false;
        self.timers.scan.every = TICK.max(scan.took * SCAN_SHARE);
        for file in scan.edited {
            if !self.is_busy(&file) {
                self.queue.push_front(file.into());
            }
        }
        let pause = delta(self.options.settings.file_interval.min(DEPENDENCY_PAUSE));
        let now = Utc::now();
        for file in scan.outdated {
            // To be looked at only is no execution.
            let recent = self.files.get(&file).is_none_or(|state| match &state.memory {
                Some(memory) => memory.executed_at <= now && now - memory.executed_at < pause,
                None => queue::is_recent(state, now, pause),
            });
            if !recent && !self.is_busy(&file) {
                self.queue.push_back(file.into());
            }
        }
        for name in scan.bundles {
            self.list(name);
        }
    }

    /// Lists a bundle's files anew.
    fn list(&mut self, name: String) {
        let Some(bundle) = self.bundles.get_mut(&name) else { return };
        let Some(root) = bundle.checkout.as_ref().map(|checkout| checkout.path.clone()) else { return };
        bundle.busy = true;
        let (service, versioned) = (bundle.service.clone(), bundle.configured.versioned);
        self.tasks.spawn(async move {
            let result = refresh::list(&service, &name, &root, versioned).await;
            Event::Checked { bundle: name, result: result.map(|listing| Checked::Listed(Box::new(listing))) }
        });
    }
}

/// Compares stamps.
fn look(files: Vec<(FileKey, PathBuf, Option<Stamp>, Stamps)>, trees: Vec<(String, Arc<Tree>)>) -> Scan {
    let clock = std::time::Instant::now();
    let mut scan = Scan::default();
    for (file, location, stamp, others) in files {
        let now = Stamp::of(&location);
        if now != stamp {
            // A file that is not there now is for the next list to tell.
            if now.is_some() {
                scan.edited.push(file);
            }
        } else if others.iter().any(|(path, stamp)| Stamp::of(path) != *stamp) {
            scan.outdated.push(file);
        }
    }
    scan.bundles = trees.into_iter().filter(|(_, tree)| !tree.is_unchanged()).map(|(name, _)| name).collect();
    scan.took = clock.elapsed();
    scan
}
