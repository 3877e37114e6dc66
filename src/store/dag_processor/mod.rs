//! The dag processor's own statements. What parsing writes is written by Airflow's `update_dag_parsing_results_in_db`.

pub mod bundles;
pub mod dags;
pub mod requests;
