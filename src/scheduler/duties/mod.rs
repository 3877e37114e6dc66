//! What the scheduler does from time to time, one file per duty. Each has a `run_once` that does it once and returns what
//! it did; when it is due is the loop's affair. Mirrors the timers of `airflow/jobs/scheduler_job_runner.py`.

pub mod asset_orphanage;
pub mod awaiting_input_timeouts;
pub mod backfills_complete;
pub mod connection_tests;
pub mod heartbeat_timeouts;
pub mod metrics;
pub mod missed_deadlines;
pub mod orphaned_tasks;
pub mod paused_dags;
pub mod stuck_in_queued;
pub mod trigger_timeouts;
pub mod unreferenced_triggers;
