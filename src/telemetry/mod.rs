//! What people see of a running process: logs in the style of Airflow's structured logs, and metrics under Airflow's names.

pub mod logging;
pub mod metrics;
