//! What Airflow's Execution API does to the database (`airflow/api_fastapi/execution_api/routes/`), one function per
//! request. Each runs in one short transaction under the lock that the API takes, and writes what the API writes.

mod duration;
mod error;
mod fail_fast;
mod locked;
mod python_json;
mod serialized;

pub mod asset_reads;
pub mod assets;
pub mod clear_run;
pub mod dag_run;
pub mod dag_runs;
pub mod defer;
pub mod finish;
pub mod heartbeat;
pub mod hitl;
pub mod reschedule;
pub mod retry;
pub mod rtif;
pub mod run;
pub mod skip;
pub mod state_store;
pub mod succeed;
pub mod task_instances;
pub(crate) mod teams;
pub mod trigger_run;
pub mod xcom;

pub use dag_run::DagRunFacts;
pub use defer::{Deferral, defer};
pub use error::{ExecutionError, Refusal};
pub use finish::{Finish, FinishState, finish};
pub use heartbeat::{HeartbeatReply, heartbeat};
pub use hitl::{AwaitInput, await_input};
pub use reschedule::reschedule;
pub use retry::{RetryReport, retry};
pub use run::{EnterRunning, RunContext, RunError, run};
pub use skip::skip_downstream;
pub use succeed::{Success, succeed};

use error::transact;

/// Options of Airflow's configuration on which these effects depend.
#[derive(Clone, Debug)]
pub struct Options {
    /// `[core] multi_team`.
    pub multi_team: MultiTeam,
    /// `[core] max_map_length`: most copies that one pushed value may expand to.
    pub max_map_length: i64,
    /// `[core] num_dag_runs_to_retain_rendered_fields`; 0 keeps all.
    pub rendered_fields_runs: i64,
    /// `[state_store] clear_on_success`.
    pub task_state: OnSuccess,
    /// `[scheduler] partition_mapper_max_downstream_keys`.
    pub max_downstream_keys: i64,
    /// `[core] rerun_with_latest_version`.
    pub rerun: Rerun,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            multi_team: MultiTeam::Off,
            max_map_length: 1024,
            rendered_fields_runs: 30,
            task_state: OnSuccess::Keep,
            max_downstream_keys: 1000,
            rerun: Rerun::OwnVersion,
        }
    }
}

/// What a cleared run goes by, if its Dag does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerun {
    /// The version that it was created from.
    OwnVersion,
    /// The newest version of its Dag.
    LatestVersion,
}

/// Whether Dags belong to teams (`[core] multi_team`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiTeam {
    /// They do not.
    Off,
    /// They do, through their bundle.
    On,
}

/// What becomes of a task's stored state when the task succeeds (`[state_store] clear_on_success`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuccess {
    /// It stays until it expires.
    Keep,
    /// It is deleted.
    Clear,
}

/// Whether a report changed the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The row was in the reported state already: a repeated report.
    Already,
    /// The row was written.
    Written,
    /// The report could not be carried out and the task instance was failed instead, as Airflow does.
    FailedInstead,
}

#[cfg(test)]
mod clear_run_tests;
#[cfg(test)]
mod tests;
