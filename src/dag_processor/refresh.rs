//! Keeps one bundle up to date (`DagFileProcessorManager._refresh_dag_bundles`).

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::python::{PythonError, Service};
use crate::store::dag_processor::bundles;
use crate::store::{Db, StoreError};

use super::watch::Tree;

/// How long a bundle may take to fetch its files, or to list them.
const LIMIT: Duration = Duration::from_secs(600);

/// A configured bundle, as the service describes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Configured {
    /// Its name.
    pub(super) name: String,
    /// How often it is refreshed, in seconds.
    pub(super) refresh_interval: f64,
    /// Whether it has versions.
    pub(super) versioned: bool,
    /// Whether it is a folder of this machine.
    pub(super) local: bool,
}

/// A bundle's files as they are on disk now.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Checkout {
    /// Where they are.
    pub(super) path: PathBuf,
    /// The version.
    pub(super) version: Option<String>,
    /// What the bundle says about the version.
    pub(super) version_data: Value,
}

/// Whether a bundle is refreshed although it is not time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// When it is time.
    Routine,
    /// At once: a user asked for a file of it.
    Asked,
}

/// What a check of a bundle found.
#[derive(Debug)]
pub(super) enum Checked {
    /// It is not time yet, or the version is the same.
    AsBefore,
    /// Its files, listed anew.
    Listed(Box<Listing>),
}

/// The Dag files of a bundle.
#[derive(Debug)]
pub(super) struct Listing {
    /// Where they are, and the version; `None` when only the list is new.
    pub(super) checkout: Option<Checkout>,
    /// Their paths relative to the bundle.
    pub(super) files: Vec<String>,
    /// What to watch for a change of this list.
    pub(super) tree: Option<Tree>,
    /// How long it took to list them.
    pub(super) took: Duration,
}

/// Why a bundle could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// Airflow's or the bundle's code failed.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The service gave an answer that cannot be understood.
    #[error("the answer of the Python service cannot be understood: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Refreshes a bundle if it is time; `known` is its last checkout here.
pub(super) async fn check(
    service: &Service,
    db: &Db,
    bundle: &Configured,
    known: Option<&Checkout>,
    urgency: Urgency,
    now: DateTime<Utc>,
) -> Result<Checked, RefreshError> {
    let name = &bundle.name;
    let before = match known {
        Some(known) => known.clone(),
        None => checkout(service, "bundles.prepare", name).await?,
    };
    let rows = bundles::states(db, std::slice::from_ref(name)).await?;
    let Some(row) = rows.get(name) else {
        tracing::warn!(bundle = name, "the bundle has no row in the database");
        return Ok(Checked::AsBefore);
    };
    let interval = TimeDelta::milliseconds((bundle.refresh_interval * 1000.0) as i64);
    let is_fresh = row.last_refreshed.is_some_and(|last| now - last < interval);
    let is_same = !bundle.versioned || before.version == row.version;
    if is_fresh && is_same && known.is_some() && urgency == Urgency::Routine {
        return Ok(Checked::AsBefore);
    }
    tracing::debug!(bundle = name, "refreshing the bundle");
    let after = checkout(service, "bundles.refresh", name).await?;
    if bundle.versioned && known.is_some() && before.version == after.version {
        bundles::refreshed(db, name, now, None).await?;
        return Ok(Checked::AsBefore);
    }
    bundles::refreshed(db, name, now, after.version.as_deref()).await?;
    let listing = list(service, name, &after.path, bundle.versioned).await?;
    Ok(Checked::Listed(Box::new(Listing { checkout: Some(after), ..listing })))
}

/// Lists a bundle's files as they are.
pub(super) async fn list(
    service: &Service,
    name: &str,
    root: &std::path::Path,
    versioned: bool,
) -> Result<Listing, RefreshError> {
    let clock = std::time::Instant::now();
    if let Err(error) = tokio::fs::read_dir(root).await {
        tracing::error!(
            bundle = name,
            folder = %root.display(),
            "the folder of the bundle cannot be read ({error}), so no Dag files are found: check its path and permissions"
        );
    }
    let root = root.to_owned();
    // Files of a versioned bundle change with its version only.
    let tree = match versioned {
        true => None,
        false => tokio::task::spawn_blocking(move || Tree::walk(&root)).await.ok(),
    };
    let files = service.call("bundles.files", json!({"name": name}), LIMIT).await?;
    let files: Vec<String> = serde_json::from_value(files)?;
    tracing::info!(bundle = name, files = files.len(), "listed the files of the bundle");
    Ok(Listing { checkout: None, files, tree, took: clock.elapsed() })
}

async fn checkout(service: &Service, op: &str, name: &str) -> Result<Checkout, RefreshError> {
    Ok(serde_json::from_value(service.call(op, json!({"name": name}), LIMIT).await?)?)
}
