//! The end of a dag run: its state, its callback, and what else hangs on it (`DagRun.update_state`).

use slipstream_core::run::{self, Counting, FailureReason, Outcome, TiRef};
use slipstream_core::state::{RunState, RunType};

use super::look::{Next, Pass};
use super::measure;
use crate::store::callbacks::{self, CallbackRequest};
use crate::store::dag_bag::CachedDag;
use crate::store::runs::active;
use crate::store::snapshot::RunSnapshot;
use crate::store::{StoreError, Tx, apply, deadlines};

impl Pass<'_> {
    /// Writes what became of the run, and asks for the Dag's callback.
    pub(super) async fn conclude(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        dag: &CachedDag,
        outcome: Outcome,
    ) -> Result<Next, StoreError> {
        let (state, message, last_ti, wanted) = match outcome {
            Outcome::StillRunning { next_look } => return Ok(Next::Later(next_look)),
            Outcome::Success { last_ti } => {
                (RunState::Success, "success", last_ti, dag.dag.callbacks.on_success)
            }
            Outcome::Failed { reason, last_ti } => {
                // A timeout always asks for the callback, as Airflow does.
                let wanted = dag.dag.callbacks.on_failure || reason == FailureReason::TimedOut;
                (RunState::Failed, reason.as_str(), last_ti, wanted)
            }
        };
        if !apply::mark_finished(tx, run.id, state, self.now).await? {
            return Ok(Next::Waits);
        }
        let counted = dag.counting == Counting::Counted;
        if counted
            && matches!(run.facts.run_type, RunType::Scheduled | RunType::Manual | RunType::AssetTriggered)
        {
            active::recompute_exceeds(tx, &run.facts.dag_id).await?;
        }
        if state == RunState::Success && !dag.dag.deadline.is_empty() {
            deadlines::prune(tx, run, self.now).await?;
        }
        if message == FailureReason::TaskFailure.as_str() {
            let most = dag.dag.max_consecutive_failed_dag_runs;
            apply::pause_after_failures(tx, &run.facts.dag_id, most, self.now).await?;
        }
        if wanted {
            self.ask_for_callback(tx, run, state, message, last_ti).await?;
        }
        measure::ended(tx, run, dag, state, self.now);
        Ok(Next::Ended { state, message })
    }

    async fn ask_for_callback(
        &self,
        tx: &Tx,
        run: &RunSnapshot,
        state: RunState,
        message: &str,
        last_ti: Option<TiRef>,
    ) -> Result<(), StoreError> {
        let last_ti = last_ti.and_then(|ti| {
            ti.id.or_else(|| {
                let same = |row: &&run::TiFacts| row.task_id == ti.task_id && row.map_index == ti.map_index;
                run.tis.iter().find(same).map(|row| row.id)
            })
        });
        let outcome = match state {
            RunState::Success => callbacks::Outcome::Success,
            RunState::Failed | RunState::Queued | RunState::Running => callbacks::Outcome::Failure,
        };
        let request = CallbackRequest::Dag {
            dag_id: run.facts.dag_id.clone(),
            run_id: run.facts.run_id.clone(),
            outcome,
            msg: message.to_owned(),
            last_ti,
        };
        callbacks::send(tx, &request, self.now).await?;
        Ok(())
    }
}
