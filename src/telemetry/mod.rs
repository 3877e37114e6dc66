//! What people see of a running process: logs in the style of Airflow's structured logs, and metrics
//! and traces under Airflow's names.

pub mod logging;
pub mod metrics;
mod otlp;
pub mod traces;
