//! New task instances that users' Python has a say in: custom priority weights and `task_instance_mutation_hook`.
//!
//! Stock Airflow calls that code while it creates task instances, in its transaction. Here rows are written first, with what
//! the Dag says, and nothing of a run is scheduled before Python has seen the run's new rows: a run that is examined with
//! rows that are not prepared is put aside, Python changes the rows in a transaction of its own, and the run is examined
//! again. What is prepared is known to this process only: a scheduler that takes over has Python look at a run's unscheduled
//! rows once more, which changes nothing, because Python begins with what the task says. So a crash at any moment lets no
//! row pass by. A strategy or policy that fails holds its run back, as a failure at creation does in stock Airflow.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use slipstream_core::ids::{DagId, RunId};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::python::LazyService;

/// How long the code may take for one run.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a run waits whose code failed.
const AGAIN: Duration = Duration::from_secs(10);

/// Runs whose rows are prepared, and runs whose rows are being prepared.
#[derive(Debug)]
pub(super) struct Preparing {
    service: LazyService,
    wake: Arc<Notify>,
    prepared: HashSet<i64>,
    asked: HashSet<i64>,
    said: UnboundedSender<(i64, Verdict)>,
    heard: UnboundedReceiver<(i64, Verdict)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Prepared,
    Failed,
}

impl Preparing {
    /// Nothing is prepared yet; `wake` is notified when something is.
    pub(super) fn new(service: LazyService, wake: Arc<Notify>) -> Self {
        let (said, heard) = unbounded_channel();
        Self { service, wake, prepared: HashSet::new(), asked: HashSet::new(), said, heard }
    }

    /// Runs that Python need not see before they go on.
    pub(super) fn prepared(&self) -> &HashSet<i64> {
        &self.prepared
    }

    /// Has Python look at the run's new rows, in the background.
    pub(super) fn prepare(&mut self, run: i64, dag_id: DagId, run_id: RunId) {
        self.prepared.remove(&run);
        if !self.asked.insert(run) {
            return;
        }
        let (service, said, wake) = (self.service.clone(), self.said.clone(), self.wake.clone());
        tokio::spawn(async move {
            let args = json!({"dag_id": dag_id, "run_id": run_id});
            let verdict = match service.call("task_instances.prepare", args, LIMIT).await {
                Ok(_) => Verdict::Prepared,
                Err(error) => {
                    tracing::error!(
                        %dag_id, %run_id, %error,
                        "a priority weight strategy or the task_instance_mutation_hook failed; the run waits"
                    );
                    tokio::time::sleep(AGAIN).await;
                    Verdict::Failed
                }
            };
            // The loop may have ended meanwhile.
            let _ = said.send((run, verdict));
            wake.notify_one();
        });
    }

    /// The runs that can be examined again.
    pub(super) fn collect(&mut self) -> BTreeSet<i64> {
        let mut runs = BTreeSet::new();
        while let Ok((run, verdict)) = self.heard.try_recv() {
            self.asked.remove(&run);
            if verdict == Verdict::Prepared {
                self.prepared.insert(run);
            }
            runs.insert(run);
        }
        runs
    }

    /// The run has ended; should it be cleared, its rows are new again.
    pub(super) fn forget(&mut self, run: i64) {
        self.prepared.remove(&run);
    }
}
