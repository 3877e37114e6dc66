//! What a person or a program is told.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// How the other scheduler differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It has not done within the window what we would have done.
    Late,
    /// It did something else.
    Otherwise,
    /// It did what we would not have done.
    Unforeseen,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "late",
            Self::Otherwise => "otherwise",
            Self::Unforeseen => "unforeseen",
        })
    }
}

/// One decision that the other scheduler took differently. As JSON it is an object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// When it was clear.
    pub at: DateTime<Utc>,
    /// How it differs.
    pub kind: Kind,
    /// The Dag.
    pub dag_id: String,
    /// The run, if there is one.
    pub run_id: Option<String>,
    /// The task, if it is about one.
    pub task_id: Option<String>,
    /// The copy of a mapped task; -1 for one that is not mapped.
    pub map_index: Option<i32>,
    /// What we would have done.
    pub ours: String,
    /// What the other scheduler did.
    pub theirs: String,
    /// Why we would have done it.
    pub why: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(f, "{at} {} dag_id={}", self.kind, self.dag_id)?;
        if let Some(run_id) = &self.run_id {
            write!(f, " run_id={run_id}")?;
        }
        if let Some(task_id) = &self.task_id {
            write!(f, " task_id={task_id}")?;
        }
        if let Some(map_index) = self.map_index.filter(|index| *index >= 0) {
            write!(f, " map_index={map_index}")?;
        }
        write!(f, " ours={:?} theirs={:?} why={:?}", self.ours, self.theirs, self.why)
    }
}

/// All that was seen. As JSON it is an object with these fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How often the database was looked at.
    pub looks: u64,
    /// Dag runs that were followed.
    pub runs: u64,
    /// Decisions that were taken as we would have taken them.
    pub agreed: u64,
    /// [`Kind::Late`].
    pub late: u64,
    /// [`Kind::Otherwise`].
    pub otherwise: u64,
    /// [`Kind::Unforeseen`].
    pub unforeseen: u64,
    /// What we would have done, and would not any more before the other scheduler could be late with it.
    pub withdrawn: u64,
    /// Decisions that could not be compared: facts that are gone, or changed by people.
    pub not_compared: u64,
    /// Decisions that were not settled when the watching ended.
    pub open: u64,
}

impl Summary {
    /// How many differences were reported.
    pub fn differences(&self) -> u64 {
        self.late + self.otherwise + self.unforeseen
    }

    pub(super) fn count(&mut self, difference: &Difference) {
        match difference.kind {
            Kind::Late => self.late += 1,
            Kind::Otherwise => self.otherwise += 1,
            Kind::Unforeseen => self.unforeseen += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} differences in {} runs: {} late, {} otherwise, {} unforeseen; {} decisions agreed, {} withdrawn, \
             {} not compared, {} open; {} looks",
            self.differences(),
            self.runs,
            self.late,
            self.otherwise,
            self.unforeseen,
            self.agreed,
            self.withdrawn,
            self.not_compared,
            self.open,
            self.looks
        )
    }
}
