//! Where the event engine and the scheduler's loop meet: commands on tasks, and being told about them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use slipstream_core::event::TriggerSpec;
use slipstream_core::ids::{DagId, TaskId};
use slipstream_core::state::RunState;

use super::tick::Scheduler;
use crate::store::StoreError;
use crate::store::commands::{self, external};

impl Scheduler {
    /// Learns which tasks have triggers that are not in their Dag's file, and looks at the runs in which that matters.
    pub(super) async fn learn_triggers(&mut self) -> Result<(), StoreError> {
        self.agenda.triggers = false;
        let mut by_dag: HashMap<DagId, Vec<(TaskId, TriggerSpec)>> = HashMap::new();
        for trigger in external::load(&self.db).await? {
            match TriggerSpec::from_json(&trigger.spec) {
                Ok(spec) => by_dag.entry(trigger.dag_id).or_default().push((trigger.task_id, spec)),
                Err(error) => tracing::error!(
                    dag_id = %trigger.dag_id, task_id = %trigger.task_id, %error,
                    "a trigger that was added from outside cannot be understood, it holds nothing back"
                ),
            }
        }
        let before: BTreeSet<&DagId> = self.event_memory.external.keys().collect();
        if before != by_dag.keys().collect() {
            // A gate may have come or gone.
            self.seen.forget_all();
        }
        self.event_memory.external = by_dag;
        Ok(())
    }

    /// Looks at the runs that have new commands; commands for runs that have ended are dropped.
    pub(super) async fn find_commands(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.commands = false;
        for found in commands::find(&self.db).await? {
            match found.run {
                Some(RunState::Running) => self.agenda.look_at_named(found.dag_id, found.run_id),
                // Looked at when it starts.
                Some(RunState::Queued) => {}
                ended => {
                    let why = if ended.is_some() { "the run has ended" } else { "there is no such run" };
                    commands::drop_of_run(&self.db, &found.dag_id, &found.run_id, why, now).await?;
                }
            }
        }
        Ok(())
    }
}
