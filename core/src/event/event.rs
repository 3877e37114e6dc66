//! An event of the log: a CloudEvent 1.0 with a namespace, a key and a position.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{DagId, RunId};

/// The namespace of what Airflow itself reports; no client can send into it.
pub const AIRFLOW_NAMESPACE: &str = "airflow";
/// The namespace of an event whose sender names none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// `airflow.task_instance.<state>`, with key `<dag_id>.<task_id>`.
pub const TASK_INSTANCE_TYPE: &str = "airflow.task_instance.";
/// `airflow.dag_run.<state>`, with key `<dag_id>`.
pub const DAG_RUN_TYPE: &str = "airflow.dag_run.";
/// Type of an update of an asset, with the asset's URI as key.
pub const ASSET_TYPE: &str = "airflow.asset.updated";
/// Type of a tick, with the trigger's id as key.
pub const TICK_TYPE: &str = "airflow.tick";

/// An event's place in the log. Positions have no gaps, and readers see them in the order of the commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub i64);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose triggers on tasks see an event. Triggers on Dags see every event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of every run.
    #[default]
    All,
    /// Those of one run.
    Run {
        /// The Dag.
        dag_id: DagId,
        /// Its run.
        run_id: RunId,
    },
}

impl Scope {
    /// Whether it is a certain run's.
    pub fn is_run(&self, dag_id: &DagId, run_id: &RunId) -> bool {
        matches!(self, Self::Run { dag_id: dag, run_id: run } if dag == dag_id && run == run_id)
    }
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// Extension attribute `namespace`.
    pub namespace: String,
    /// Attribute `subject`, or the type when there is none.
    pub key: String,
    /// Attribute `type`.
    pub event_type: String,
    /// Attribute `source`; together with `id` it names the event.
    pub source: String,
    /// Attribute `id`.
    pub id: String,
    /// Extension attribute `sender`.
    pub sender: Option<String>,
    /// When it happened, on the sender's clock.
    pub time: DateTime<Utc>,
    /// Whose triggers on tasks see it.
    pub scope: Scope,
    /// What it tells.
    pub data: Value,
    /// The other extension attributes.
    pub extensions: Map<String, Value>,
}
