//! Why a serialized Dag cannot be used.

/// Why a serialized Dag cannot be used. A Dag that fails here is left alone until its next version arrives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    /// Written by an Airflow that is too old or too new.
    #[error(
        "the serialized Dag has format version {0}, and only 2 and 3 are supported: run `airflow dags reserialize`"
    )]
    Version(String),
    /// A part that every serialized Dag has is absent or of another shape.
    #[error(
        "the serialized Dag `{dag_id}` has no usable `{field}` in {place}: run `airflow dags reserialize`"
    )]
    Field {
        /// The Dag, empty when even that is unknown.
        dag_id: String,
        /// The key that is missing or malformed.
        field: &'static str,
        /// Where: `the Dag`, or a task or group by name.
        place: String,
    },
    /// A reference to a task that is not in the Dag.
    #[error("{place} of the serialized Dag `{dag_id}` refers to task `{task_id}`, which is not in the Dag")]
    UnknownTask {
        /// The Dag.
        dag_id: String,
        /// Which part refers.
        place: String,
        /// What it refers to.
        task_id: String,
    },
    /// Two tasks have the same id, so that it names neither.
    #[error("the serialized Dag `{dag_id}` has two tasks `{task_id}`: run `airflow dags reserialize`")]
    Twice {
        /// The Dag.
        dag_id: String,
        /// Their id.
        task_id: String,
    },
    /// The dependencies form a circle.
    #[error(
        "the tasks of the serialized Dag `{dag_id}` depend on each other in a circle through `{task_id}`"
    )]
    Cycle {
        /// The Dag.
        dag_id: String,
        /// A task on the circle.
        task_id: String,
    },
}
