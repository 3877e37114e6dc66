//! `slipstream debug dump` and SIGUSR2: what a running scheduler is doing and waiting for.
//!
//! As Airflow's `_debug_dump` (`jobs/scheduler_job_runner.py`), with what is of use beside the executors' tasks.

mod desk;
mod gather;
mod progress;
mod rounds;
mod state;
#[cfg(test)]
mod tests;

pub use desk::{Desk, Dump, ask};
pub use progress::{Progress, Pulse};
pub use rounds::RoundTimes;
pub use state::{
    Answer, Due, EngineState, ExecutorKind, ExecutorState, LoopState, PoolState, Runs, State, Step,
};

pub(super) use desk::Question;
