//! `slipstream worker`: runs task processes and does for them what Airflow's Python supervisor does.

pub mod log;
