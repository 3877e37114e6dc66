//! The triggers as the engine works with them: compiled, and found by the keys that they are interested in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use slipstream_core::event::{AIRFLOW_NAMESPACE, Event, Pattern, Reach, TriggerSpec};
use slipstream_core::ids::{DagId, TaskId};
use uuid::Uuid;

use super::index::KeyIndex;
use super::pairing::pair;
use crate::store::dag_bag::DagBag;
use crate::store::triggers::TriggerId;
use crate::store::triggers::active_runs::ActiveRun;
use crate::store::triggers::registry::{self, Origin, Status, TriggerRow};
use crate::store::{Conn, StoreError};

/// A trigger that can be put to work.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    /// Its row.
    pub(super) row: Arc<TriggerRow>,
    /// What it says; for a run that is pinned to an older version of its Dag, what that version says.
    pub(super) spec: Arc<TriggerSpec>,
    /// The same as JSON.
    pub(super) json: Arc<Value>,
    /// Hash of what it says.
    pub(super) hash: Arc<str>,
}

impl Armed {
    /// Tied to its Dag, not yet to a run: enough to know the keys that it is interested in.
    fn bound(&self) -> TriggerSpec {
        self.spec.bound_to(&self.row.dag_id, None, self.row.id.0)
    }
}

/// Who evaluates a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The engine, in the order of the log.
    Native,
    /// This one asks a Python function, and is evaluated by itself, behind the engine.
    Python(TriggerId),
}

/// The triggers on tasks that one version of a Dag has.
#[derive(Debug, Default)]
pub(super) struct TaskTriggers {
    dag_id: Option<DagId>,
    /// Each with its id.
    pub(super) armed: BTreeMap<TriggerId, Armed>,
    /// Which of those without a Python function an event may concern.
    index: KeyIndex<TriggerId>,
    /// Which of those with one.
    asking: KeyIndex<TriggerId>,
}

impl TaskTriggers {
    fn enter(&mut self, armed: Armed) {
        let index = if armed.spec.asks_python() { &mut self.asking } else { &mut self.index };
        index.enter(armed.bound().interests(), armed.row.id);
        self.armed.insert(armed.row.id, armed);
    }

    /// The triggers of a pace that an event may concern, with the reach under which it does.
    pub(super) fn find(&self, event: &Event, pace: Pace) -> BTreeMap<TriggerId, Reach> {
        find(&self.index, &self.asking, event, pace)
    }

    fn concerns(&self, event: &Event) -> bool {
        self.index.concerns(event) || self.asking.concerns(event)
    }

    fn asking(&self) -> impl Iterator<Item = TriggerId> {
        self.armed.values().filter(|armed| armed.spec.asks_python()).map(|armed| armed.row.id)
    }
}

fn find(
    index: &KeyIndex<TriggerId>,
    asking: &KeyIndex<TriggerId>,
    event: &Event,
    pace: Pace,
) -> BTreeMap<TriggerId, Reach> {
    match pace {
        Pace::Native => index.find(event),
        Pace::Python(id) => {
            let mut found = asking.find(event);
            found.retain(|other, _| *other == id);
            found
        }
    }
}

/// All triggers, as of one state of the registry.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    version: Option<i64>,
    rows: HashMap<TriggerId, Arc<TriggerRow>>,
    /// Triggers on Dags.
    dags: BTreeMap<TriggerId, Armed>,
    dag_index: KeyIndex<TriggerId>,
    asking_dags: KeyIndex<TriggerId>,
    /// Triggers on tasks as the newest version of each Dag has them.
    newest: BTreeMap<DagId, Arc<TaskTriggers>>,
    /// Dags that have, or had, triggers on tasks.
    task_dags: BTreeSet<DagId>,
    /// Triggers on tasks as other versions have them, read when a run needs them.
    pinned: HashMap<Uuid, Arc<TaskTriggers>>,
    /// Specs that cannot be understood, told once.
    broken: BTreeMap<TriggerId, String>,
    /// How many triggers are not retired.
    live: usize,
}

impl Catalog {
    /// Reads the triggers again if any has changed since.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn refresh<C: Conn>(&mut self, conn: &C) -> Result<(), StoreError> {
        let version = registry::version(conn).await?;
        self.refresh_to(conn, version).await
    }

    /// Reads the triggers again if this state of the registry is another.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn refresh_to<C: Conn>(&mut self, conn: &C, version: i64) -> Result<(), StoreError> {
        if self.version != Some(version) {
            let rows = registry::all(conn).await?;
            *self = Self::new(rows, std::mem::take(&mut self.broken));
            self.version = Some(version);
        }
        Ok(())
    }

    fn new(rows: Vec<TriggerRow>, told: BTreeMap<TriggerId, String>) -> Self {
        let mut catalog = Self::default();
        let mut newest: BTreeMap<DagId, TaskTriggers> = BTreeMap::new();
        for row in rows {
            let row = Arc::new(row);
            catalog.rows.insert(row.id, Arc::clone(&row));
            if row.task_id.is_some() {
                catalog.task_dags.insert(row.dag_id.clone());
            }
            if row.status == Status::Retired {
                continue;
            }
            catalog.live += 1;
            match TriggerSpec::from_json(&row.spec) {
                Ok(spec) => {
                    let hash = row.spec_hash.as_str().into();
                    let json = Arc::new(row.spec.clone());
                    let armed = Armed { row: Arc::clone(&row), spec: Arc::new(spec), json, hash };
                    if row.task_id.is_some() {
                        newest.entry(row.dag_id.clone()).or_default().enter(armed);
                    } else {
                        let asks = armed.spec.asks_python();
                        let index = if asks { &mut catalog.asking_dags } else { &mut catalog.dag_index };
                        index.enter(armed.bound().interests(), row.id);
                        catalog.dags.insert(row.id, armed);
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    if told.get(&row.id) != Some(&why) {
                        tracing::error!(trigger = %row.name, "the trigger is left out: {why}");
                    }
                    catalog.broken.insert(row.id, why);
                }
            }
        }
        catalog.newest = newest.into_iter().map(|(dag, set)| (dag, Arc::new(set))).collect();
        catalog
    }

    /// Whether there is nothing to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether a file's trigger may have to be retired when its Dag goes.
    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Dags whose runs may have triggers on tasks.
    pub(super) fn task_dags(&self) -> &BTreeSet<DagId> {
        &self.task_dags
    }

    /// The state of the registry that this is of.
    pub(super) fn version(&self) -> Option<i64> {
        self.version
    }

    /// Whether any trigger has a clock that runs before any event.
    pub(super) fn has_clocks(&self) -> bool {
        self.dag_triggers().chain(self.newest_task_triggers()).any(|armed| armed.spec.watches_time())
    }

    /// Whether any trigger waits for what Airflow does itself, other than for its own ticks.
    pub(super) fn observes(&self) -> bool {
        let own = |key: &Pattern| matches!(key, Pattern::Exact(key) if key.bytes().all(|byte| byte.is_ascii_digit()));
        self.airflow_keys().iter().any(|key| !own(key))
    }

    /// The keys of Airflow's own events that any trigger is interested in.
    pub(super) fn airflow_keys(&self) -> Vec<Pattern> {
        let sets = self.newest.values().chain(self.pinned.values());
        let indexes = sets.flat_map(|set| [&set.index, &set.asking]);
        let indexes = indexes.chain([&self.dag_index, &self.asking_dags]);
        indexes.flat_map(|index| index.keys_in(AIRFLOW_NAMESPACE)).collect()
    }

    /// The triggers on Dags of a pace that an event may concern.
    pub(super) fn find_on_dags(&self, event: &Event, pace: Pace) -> impl Iterator<Item = TriggerId> {
        find(&self.dag_index, &self.asking_dags, event, pace).into_keys()
    }

    /// Triggers that ask a Python function, as any version has them that a run needs.
    pub(super) fn asking(&self) -> BTreeSet<TriggerId> {
        let of_dags = self.dags.values().filter(|armed| armed.spec.asks_python()).map(|armed| armed.row.id);
        let sets = self.newest.values().chain(self.pinned.values());
        of_dags.chain(sets.flat_map(|set| set.asking())).collect()
    }

    /// A trigger on a Dag.
    pub(super) fn dag_trigger(&self, id: TriggerId) -> Option<&Armed> {
        self.dags.get(&id)
    }

    /// Every trigger on a Dag.
    pub(super) fn dag_triggers(&self) -> impl Iterator<Item = &Armed> {
        self.dags.values()
    }

    /// Every trigger on a task, as the newest versions have them.
    pub(super) fn newest_task_triggers(&self) -> impl Iterator<Item = &Armed> {
        self.newest.values().flat_map(|set| set.armed.values())
    }

    /// A trigger's row.
    pub(super) fn row(&self, id: TriggerId) -> Option<&Arc<TriggerRow>> {
        self.rows.get(&id)
    }

    /// The triggers on tasks of runs that follow the newest version.
    pub(super) fn newest(&self, dag_id: &DagId) -> Option<&Arc<TaskTriggers>> {
        self.newest.get(dag_id)
    }

    /// The triggers on tasks in a run: what the version says that the run is pinned to, whatever the newest does.
    pub(super) fn of_run(&self, run: &ActiveRun) -> Option<&Arc<TaskTriggers>> {
        match run.pinned {
            Some(version) => self.pinned.get(&version),
            None => self.newest.get(&run.dag_id),
        }
    }

    /// Whether one of these events may concern a task of the Dag, as far as is known without its runs. Versions that only
    /// pinned runs have are read when there are such runs.
    pub(super) fn may_concern(&self, dag_id: &DagId, events: &[Event]) -> bool {
        let newest = self.newest.get(dag_id).into_iter();
        let pinned = self.pinned.values().filter(|set| set.dag_id.as_ref() == Some(dag_id));
        newest.chain(pinned).any(|set| events.iter().any(|event| set.concerns(event)))
    }

    /// Reads the versions that are not known yet.
    ///
    /// # Errors
    /// As any statement.
    pub(super) async fn read_pinned<C: Conn>(
        &mut self,
        conn: &C,
        bag: &DagBag,
        versions: BTreeSet<Uuid>,
    ) -> Result<(), StoreError> {
        let missing: BTreeSet<Uuid> =
            versions.into_iter().filter(|version| !self.pinned.contains_key(version)).collect();
        for (version, dag) in bag.versions(conn, &missing).await? {
            let mut set = TaskTriggers { dag_id: Some(dag.dag.dag_id.clone()), ..TaskTriggers::default() };
            let all = super::sync::triggers_of(&dag.dag);
            let mut rows: Vec<&TriggerRow> = self
                .rows
                .values()
                .filter(|row| row.dag_id == dag.dag.dag_id && row.origin == Origin::File)
                .map(AsRef::as_ref)
                .collect();
            rows.sort_unstable_by_key(|row| row.id);
            let pairs = pair(&all, &rows);
            for (found, row) in all.into_iter().zip(pairs) {
                let row = row.filter(|row| row.task_id.is_some()).and_then(|row| self.rows.get(&row.id));
                let Some(row) = row else { continue };
                let Ok(spec) = &found.declared.spec else { continue };
                let armed = Armed {
                    row: Arc::clone(row),
                    json: Arc::new(found.declared.json.clone()),
                    spec: Arc::new(spec.clone()),
                    hash: found.hash.into(),
                };
                set.enter(armed);
            }
            let external = self.newest.get(&dag.dag.dag_id);
            for armed in external.iter().flat_map(|set| set.armed.values()) {
                if armed.row.origin == Origin::External {
                    set.enter(armed.clone());
                }
            }
            self.pinned.insert(version, Arc::new(set));
        }
        Ok(())
    }
}

/// The name of a trigger that a Dag file does not name itself.
pub(super) fn default_name(dag_id: &DagId, task_id: Option<&TaskId>, ordinal: usize) -> String {
    match task_id {
        Some(task_id) => format!("{dag_id}.{task_id}#{ordinal}"),
        None => format!("{dag_id}#{ordinal}"),
    }
}
