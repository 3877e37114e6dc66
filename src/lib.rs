//! Slipstream: a scheduler that takes the place of `airflow scheduler` in a running Apache Airflow 3 deployment.
//!
//! `core` (the crate `slipstream_core`) decides; this crate does. See `ARCHITECTURE.md`.

pub mod api;
pub mod cli;
pub mod config;
pub mod dag_processor;
pub mod events;
pub mod executor;
pub mod python;
pub mod runtime;
pub mod scheduler;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod worker;
