//! `slipstream worker`: runs task processes and does for them what Airflow's Python supervisor does.

pub mod log;

mod aside;
mod board;
mod callback;
mod connection_test;
mod crew;
mod database;
mod error;
mod exit;
mod ladder;
mod leftovers;
mod options;
mod prepared;
mod process;
mod reaper;
mod remote_logs;
mod requests;
mod run;
mod secrets;
mod serve;
mod server;
mod session;
mod settings;
mod supervise;
mod zygotes;

#[cfg(test)]
mod end_to_end_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod supervise_tests;

pub use error::WorkerError;
pub use options::WorkerOptions;
pub use remote_logs::RemoteLogs;
pub use run::run;
pub use settings::Settings;
