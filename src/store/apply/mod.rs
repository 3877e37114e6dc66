//! Writes what was decided about a dag run, each change only if the row is still in the state it was decided on.
//!
//! Decisions of one kind are written together; the order in which decisions touch the same task instance is kept. See
//! `update_state` and `schedule_tis` of `airflow/models/dagrun.py` for the values.

mod expand;
mod outcome;
mod states;
mod trigger;

use chrono::{DateTime, Utc};
use slipstream_core::dag::Dag;
use slipstream_core::run::{Dates, Decision, TiRef, TryNumber};
use slipstream_core::state::TaskState;
use uuid::Uuid;

use self::expand::Made;
use super::execution::MultiTeam;
use super::snapshot::RunSnapshot;
use super::{StoreError, Tx};

pub use outcome::{mark_examined, mark_finished, pause_after_failures};
pub use trigger::Encrypt;

/// What is written to, and with what.
#[derive(Debug)]
pub struct Target<'a> {
    /// The transaction that holds the run's lock.
    pub tx: &'a Tx,
    /// The run.
    pub run: &'a RunSnapshot,
    /// The version of the Dag that it goes by.
    pub dag: &'a Dag,
    /// That version's id, for new task instances.
    pub version_id: Uuid,
    /// The system user, for new task instances.
    pub unixname: &'a str,
    /// The moment of the decision.
    pub now: DateTime<Utc>,
    /// `[core] multi_team`.
    pub multi_team: MultiTeam,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Task instances that were changed or made.
    pub changed: u64,
    /// Task instances that are now in state `scheduled`.
    pub scheduled: u64,
    /// Changes that found their row in another state. The run has to be examined again.
    pub missed: u64,
}

/// Changes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Set { from: Option<TaskState>, to: Option<TaskState>, dates: Dates },
    Schedule { from: Option<TaskState>, try_number: TryNumber },
    Succeed { from: Option<TaskState> },
}

/// Writes decisions in their order.
///
/// # Errors
/// As any statement.
pub async fn apply(
    target: &Target<'_>,
    decisions: &[Decision],
    encrypt: &impl Encrypt,
) -> Result<Applied, StoreError> {
    let mut writer =
        Writer { target, applied: Applied::default(), batches: Vec::new(), made: Made::default() };
    for decision in decisions {
        writer.take(decision, encrypt).await?;
    }
    writer.flush().await?;
    Ok(writer.applied)
}

/// Writes decisions that only change states.
///
/// # Errors
/// As any statement.
pub async fn apply_states(target: &Target<'_>, decisions: &[Decision]) -> Result<Applied, StoreError> {
    apply(target, decisions, &|plain: &str| plain.to_owned()).await
}

struct Writer<'a> {
    target: &'a Target<'a>,
    applied: Applied,
    /// Changes not written yet, in the order of their first appearance.
    batches: Vec<(Kind, Vec<Uuid>)>,
    /// Task instances that this writer made.
    made: Made,
}

impl Writer<'_> {
    async fn take(&mut self, decision: &Decision, encrypt: &impl Encrypt) -> Result<(), StoreError> {
        match decision {
            Decision::SetState { ti, from, to, dates, .. } => {
                self.add(Kind::Set { from: *from, to: *to, dates: *dates }, ti);
            }
            Decision::Remove { ti, from } => {
                let to = Some(TaskState::Removed);
                self.add(Kind::Set { from: *from, to, dates: Dates::Untouched }, ti);
            }
            Decision::Schedule { ti, from, try_number } => {
                self.add(Kind::Schedule { from: *from, try_number: *try_number }, ti);
            }
            Decision::SucceedEmpty { ti, from } => self.add(Kind::Succeed { from: *from }, ti),
            Decision::DeferFromTrigger { ti, from, try_number } => {
                self.flush().await?;
                let Some(id) = self.id(ti) else { return Ok(()) };
                let task = self.target.dag.task_by_id(ti.task_id.as_str());
                let Some((task, start)) = task.and_then(|task| Some((task, task.start_trigger.as_ref()?)))
                else {
                    return Err(StoreError::Invalid(format!("task {} has no start trigger", ti.task_id)));
                };
                let done =
                    trigger::defer(self.target, id, task, start, (*from, *try_number), encrypt).await?;
                self.count(1, done);
            }
            Decision::ClearReferences { ti } => {
                self.flush().await?;
                if let Some(id) = self.id(ti) {
                    expand::clear_references(self.target, ti, id).await?;
                }
            }
            Decision::Expand(expansion) => {
                self.flush().await?;
                let done = expand::expand(self.target, expansion, &mut self.made).await?;
                self.count(done.wanted, done.written);
            }
        }
        Ok(())
    }

    fn id(&self, ti: &TiRef) -> Option<Uuid> {
        ti.id.or_else(|| self.made.ids.get(&(ti.task_id.clone(), ti.map_index)).copied())
    }

    fn add(&mut self, kind: Kind, ti: &TiRef) {
        let Some(id) = self.id(ti) else {
            self.applied.missed += 1;
            return;
        };
        match self.batches.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, ids)) => ids.push(id),
            None => self.batches.push((kind, vec![id])),
        }
    }

    fn count(&mut self, wanted: u64, written: u64) {
        self.applied.changed += written;
        self.applied.missed += wanted.saturating_sub(written);
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let (tx, now) = (self.target.tx, self.target.now);
        for (kind, ids) in std::mem::take(&mut self.batches) {
            let written = match kind {
                Kind::Set { from, to, dates } => states::set(tx, &ids, from, to, dates, now).await?,
                Kind::Schedule { from, try_number } => {
                    let written = states::schedule(tx, &ids, from, try_number, now).await?;
                    self.applied.scheduled += written;
                    written
                }
                Kind::Succeed { from } => states::succeed_empty(tx, &ids, from, now).await?,
            };
            self.count(ids.len() as u64, written);
        }
        Ok(())
    }
}
