//! Statements of the scheduler's periodic duties, one file per duty.

pub mod awaiting_input;
pub mod backfills;
pub mod heartbeats;
pub mod metrics;
pub mod orphans;
pub mod paused_dags;
pub mod stuck_in_queued;
pub mod triggers;

#[cfg(test)]
mod tests;
