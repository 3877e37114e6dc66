//! Serialised Dags, each version parsed once and shared.
//!
//! Mirrors `airflow/models/dagbag.py` (`DBDagBag`): a version is read again when its `dag_hash` changed, because a version
//! without task instances is overwritten in place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use slipstream_core::dag::Dag;
use slipstream_core::ids::DagId;
use slipstream_core::run::{Counting, EventPlan};
use slipstream_core::schedule::Timetable;
use uuid::Uuid;

use super::{Conn, Row, StoreError};
use crate::telemetry::metrics;

/// Most versions that are kept; the least recently used go first.
const KEPT: usize = 512;

/// One version of a Dag, as the dag-processor left it.
#[derive(Debug)]
pub struct CachedDag {
    /// `dag_version.id`.
    pub version_id: Uuid,
    /// `dag_version.version_number`.
    pub version_number: i64,
    /// `serialized_dag.id`, which deadline alerts refer to.
    pub serialized_id: Uuid,
    /// `dag_version.bundle_name`.
    pub bundle_name: Option<String>,
    /// What is in it.
    pub dag: Dag,
    /// When it runs.
    pub timetable: Timetable,
    /// Whether its runs count against `max_active_runs`.
    pub counting: Counting,
    /// Whether it has a streaming task.
    pub streams: bool,
}

/// Which version of a Dag is meant, and what its content hashes to.
#[derive(Clone, Debug)]
struct VersionKey {
    id: Uuid,
    hash: String,
}

#[derive(Debug)]
struct Entry {
    hash: String,
    used: u64,
    /// The parsed Dag, or why it cannot be parsed.
    dag: Result<Arc<CachedDag>, String>,
}

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<Uuid, Entry>,
    clock: u64,
    tasks_read: u64,
}

/// The versions parsed so far. Cheap to clone; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct DagBag {
    cache: Arc<Mutex<Cache>>,
    metrics: Metrics,
}

/// Whether the use of a bag is measured: Airflow's names for that are the scheduler's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Metrics {
    #[default]
    None,
    Scheduler,
}

/// Dags by id; one that is not there has no serialised version, or one that cannot be understood (logged).
pub type Dags = BTreeMap<DagId, Arc<CachedDag>>;

impl DagBag {
    /// An empty bag whose use is measured as that of the scheduler's.
    pub fn of_scheduler() -> Self {
        Self { metrics: Metrics::Scheduler, ..Self::default() }
    }

    /// The newest version of each of these Dags, in at most two queries.
    ///
    /// # Errors
    /// As any statement. A Dag that cannot be understood is logged and left out.
    pub async fn latest<C: Conn>(&self, conn: &C, dag_ids: &BTreeSet<DagId>) -> Result<Dags, StoreError> {
        if dag_ids.is_empty() {
            return Ok(Dags::new());
        }
        let sql = conn
            .sql(
                "SELECT dv.dag_id, dv.id, sd.dag_hash FROM dag_version dv \
                 JOIN serialized_dag sd ON sd.dag_version_id = dv.id \
                 WHERE dv.dag_id IN (?) AND dv.version_number = \
                 (SELECT max(newest.version_number) FROM dag_version newest WHERE newest.dag_id = dv.dag_id)",
            )
            .bind_list(dag_ids);
        let keys = conn.all(sql).await?.iter().map(version_key).collect::<Result<Vec<_>, _>>()?;
        let found = self.fetch(conn, keys).await?;
        Ok(found.into_iter().map(|dag| (dag.dag.dag_id.clone(), dag)).collect())
    }

    /// These versions, whichever Dag they belong to, in at most two queries.
    ///
    /// # Errors
    /// As [`DagBag::latest`].
    pub async fn versions<C: Conn>(
        &self,
        conn: &C,
        ids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, Arc<CachedDag>>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = conn
            .sql("SELECT dag_id, dag_version_id AS id, dag_hash FROM serialized_dag WHERE dag_version_id IN (?)")
            .bind_list(ids.iter().copied());
        let keys = conn.all(sql).await?.iter().map(version_key).collect::<Result<Vec<_>, _>>()?;
        let found = self.fetch(conn, keys).await?;
        Ok(found.into_iter().map(|dag| (dag.version_id, dag)).collect())
    }

    /// The newest version of each of these Dags, or why it cannot be understood; one that was never serialised is left out.
    /// Nothing is kept.
    ///
    /// # Errors
    /// As any statement.
    pub async fn try_latest<C: Conn>(
        conn: &C,
        dag_ids: &[DagId],
    ) -> Result<Vec<(DagId, Result<CachedDag, String>)>, StoreError> {
        let sql = conn
            .sql(
                "SELECT dv.id, dv.dag_id, dv.version_number, dv.bundle_name, sd.id AS serialized_id, sd.dag_hash, \
                 sd.data, sd.data_compressed FROM serialized_dag sd JOIN dag_version dv ON dv.id = sd.dag_version_id \
                 WHERE dv.dag_id IN (?) AND dv.version_number = \
                 (SELECT max(newest.version_number) FROM dag_version newest WHERE newest.dag_id = dv.dag_id)",
            )
            .bind_list(dag_ids);
        let rows = conn.all(sql).await?;
        rows.iter()
            .map(|row| Ok((row.id("dag_id")?, read_version(row).map_err(|error| error.to_string()))))
            .collect()
    }

    /// Dags whose runs do not count against `max_active_runs`, as far as they have been read: a Dag has been once a run of
    /// it was examined.
    pub fn long_running(&self) -> BTreeSet<DagId> {
        let cache = self.lock();
        let read = cache.entries.values().filter_map(|entry| entry.dag.as_ref().ok());
        let long = read.filter(|dag| dag.counting == Counting::LongRunning);
        long.map(|dag| dag.dag.dag_id.clone()).collect()
    }

    /// Dags with streaming tasks, as far as they have been read.
    pub fn streaming(&self) -> BTreeSet<DagId> {
        let cache = self.lock();
        let read = cache.entries.values().filter_map(|entry| entry.dag.as_ref().ok());
        let streaming = read.filter(|dag| dag.streams);
        streaming.map(|dag| dag.dag.dag_id.clone()).collect()
    }

    /// How many tasks were read so far, of all versions together.
    pub fn tasks_read(&self) -> u64 {
        self.lock().tasks_read
    }

    async fn fetch<C: Conn>(
        &self,
        conn: &C,
        keys: Vec<VersionKey>,
    ) -> Result<Vec<Arc<CachedDag>>, StoreError> {
        let missing: Vec<Uuid> = {
            let cache = self.lock();
            let stale =
                |key: &&VersionKey| cache.entries.get(&key.id).is_none_or(|entry| entry.hash != key.hash);
            keys.iter().filter(stale).map(|key| key.id).collect()
        };
        for chunk in missing.chunks(50) {
            for row in conn.all(select_versions(conn, chunk)).await? {
                let (id, hash) = (row.uuid("id")?, row.text("dag_hash")?);
                let dag = read_version(&row).map(Arc::new).map_err(|error| error.to_string());
                if let Err(why) = &dag {
                    tracing::error!(
                        dag_id = row.text("dag_id")?,
                        version = %id,
                        "the serialised Dag cannot be understood, its runs wait: {why}"
                    );
                }
                self.lock().keep(id, hash, dag);
            }
        }
        self.measure(keys.len() - missing.len(), missing.len());
        let mut cache = self.lock();
        Ok(keys.iter().filter_map(|key| cache.touch(key.id)).collect())
    }

    /// Each version that was asked for counts once, as in Airflow: here for many Dags at a time.
    fn measure(&self, hits: usize, misses: usize) {
        if self.metrics == Metrics::None || !metrics::is_on() {
            return;
        }
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        if hits > 0 {
            metrics::count("scheduler.dag_bag.cache_hit", number(hits), &[]);
        }
        if misses > 0 {
            metrics::count("scheduler.dag_bag.cache_miss", number(misses), &[]);
            metrics::gauge("scheduler.dag_bag.cache_size", number(self.lock().entries.len()), &[]);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        // The cache holds no half-made entry at any time, so that one panic does not spoil it.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn keep(&mut self, id: Uuid, hash: String, dag: Result<Arc<CachedDag>, String>) {
        if self.entries.len() >= KEPT
            && !self.entries.contains_key(&id)
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            self.entries.remove(&oldest);
        }
        self.clock += 1;
        self.tasks_read += dag.as_ref().map_or(0, |dag| dag.dag.tasks.len() as u64);
        self.entries.insert(id, Entry { hash, used: self.clock, dag });
    }

    fn touch(&mut self, id: Uuid) -> Option<Arc<CachedDag>> {
        self.clock += 1;
        let entry = self.entries.get_mut(&id)?;
        entry.used = self.clock;
        entry.dag.as_ref().ok().cloned()
    }
}

fn version_key(row: &Row) -> Result<VersionKey, StoreError> {
    Ok(VersionKey { id: row.uuid("id")?, hash: row.text("dag_hash")? })
}

fn select_versions<C: Conn>(conn: &C, ids: &[Uuid]) -> super::Sql {
    conn.sql(
        "SELECT dv.id, dv.dag_id, dv.version_number, dv.bundle_name, sd.id AS serialized_id, sd.dag_hash, sd.data, \
         sd.data_compressed FROM serialized_dag sd JOIN dag_version dv ON dv.id = sd.dag_version_id WHERE dv.id IN (?)",
    )
    .bind_list(ids.iter().copied())
}

fn read_version(row: &Row) -> Result<CachedDag, StoreError> {
    let data = serialized_data(row)?;
    let dag = Dag::from_serialized(&data).map_err(|error| StoreError::Invalid(error.to_string()))?;
    let timetable =
        Timetable::from_serialized(&dag.timetable).map_err(|error| StoreError::Invalid(error.to_string()))?;
    let counting = EventPlan::of(&dag, &[]).map(|plan| plan.counting).unwrap_or_default();
    let streams = dag.iter().any(|(_, task)| task.is_streaming());
    Ok(CachedDag {
        counting,
        streams,
        version_id: row.uuid("id")?,
        version_number: row.int("version_number")?,
        serialized_id: row.uuid("serialized_id")?,
        bundle_name: row.text_opt("bundle_name")?,
        dag,
        timetable,
    })
}

/// The serialised Dag of a row with the columns `data` and `data_compressed`.
pub(crate) fn serialized_data(row: &Row) -> Result<serde_json::Value, StoreError> {
    match row.bytes_opt("data_compressed")? {
        Some(bytes) => inflate(&bytes),
        None => row.json("data"),
    }
}

/// `[core] compress_serialized_dags`: zlib data of the JSON text.
fn inflate(bytes: &[u8]) -> Result<serde_json::Value, StoreError> {
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(bytes)
        .read_to_string(&mut text)
        .map_err(|error| StoreError::Invalid(format!("`data_compressed` is not zlib data: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Invalid(format!("`data_compressed` is not JSON: {error}")))
}
