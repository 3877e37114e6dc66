//! Identifiers, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as the database stores it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text_id!(
    /// `dag.dag_id`.
    DagId
);
text_id!(
    /// `task_instance.task_id`: the full id, with the prefixes of its groups.
    TaskId
);
text_id!(
    /// `dag_run.run_id`, unique within its Dag.
    RunId
);
text_id!(
    /// A task group's full id.
    GroupId
);

/// `task_instance.map_index`: which copy of a mapped task. [`MapIndex::UNMAPPED`] for a task that is not mapped, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MapIndex(pub i32);

impl MapIndex {
    /// The index of a task instance that is not mapped, or whose length is not known yet.
    pub const UNMAPPED: MapIndex = MapIndex(-1);

    /// Whether this is one of the copies that a mapped task was expanded to.
    pub fn is_mapped(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for MapIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What names one try of one task instance across processes, as Airflow's `TaskInstanceKey` does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TiKey {
    /// The Dag.
    pub dag_id: DagId,
    /// The task in it.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// Which try, counted from 1; 0 before the first.
    pub try_number: i32,
    /// Which copy of a mapped task.
    pub map_index: MapIndex,
}

impl fmt::Display for TiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} {}", self.dag_id, self.task_id, self.run_id)?;
        if self.map_index.is_mapped() {
            write!(f, " map_index={}", self.map_index)?;
        }
        write!(f, " try={}", self.try_number)
    }
}
