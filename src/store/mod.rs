//! The only door to the metadata database.
//!
//! [`Db`] and [`Tx`] run statements made with [`Sql`]; every other file has the functions of one table or one step. Callers
//! never see a driver type. Statements are written by hand because the hot ones are set-based and because Airflow's rows
//! must keep SQLAlchemy's forms (see [`sql`]).

pub mod apply;
pub mod assets;
pub mod audit_log;
pub mod callbacks;
mod candidates;
pub mod commands;
#[cfg(test)]
mod connection_test_tests;
pub mod connection_tests;
pub mod create_run;
pub mod critical_section;
pub mod dag_bag;
pub mod dag_processor;
pub mod db;
pub mod deadlines;
pub mod duties;
pub mod encoding;
pub mod ended_tis;
pub mod error;
pub mod events;
pub mod execution;
pub mod failure;
pub mod fernet;
pub mod history;
pub mod integrity;
pub mod job;
#[cfg(test)]
mod metric_tests;
pub mod migration;
pub mod own_tables;
mod pooler;
pub mod row;
pub mod runs;
pub mod secrets;
pub mod shadow;
pub mod snapshot;
pub mod sql;
pub mod statements;
pub mod survey;
pub mod teams;
#[cfg(test)]
pub mod testing;
pub mod triggers;
mod unnamed;
pub mod watch;
pub mod withdrawn;

pub use db::{Access, Conn, Connections, Db, Target, Tx, retry};
pub use error::StoreError;
pub use row::Row;
pub use sql::{Dialect, Kind, Param, Sql};
pub use statements::Prepared;
