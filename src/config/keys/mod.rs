//! Every option that Slipstream reads, one file per section of `airflow.cfg`.
//!
//! To add one, add a line to its section: it is then resolved, checked at load, shown by `slipstream config`, and no longer
//! reported as not honoured. Defaults are those of Airflow 3.3 (`airflow/config_templates/config.yml`).

use super::key::AnyKey;

/// Declares the options of a section as constants, and `ALL` with every one of them.
macro_rules! keys {
    ($section:literal: $($(#[doc = $doc:literal])+ $const:ident: $type:ty = $name:literal, $default:expr $(, $mark:ident)?;)+) => {
        $($(#[doc = $doc])+ pub const $const: $crate::config::Key<$type> =
            $crate::config::Key::new($section, $name, $default, concat!($($doc, "\n"),+))$(.$mark())?;)+
        pub(super) const ALL: &[&dyn $crate::config::AnyKey] = &[$(&$const),+];
    };
}

pub mod api;
pub mod callbacks;
pub mod connection_test;
pub mod core;
pub mod dag_processor;
pub mod database;
pub mod logging;
pub mod metrics;
pub mod scheduler;
pub mod secrets;
pub mod slipstream;
pub mod state_store;
pub mod traces;
pub mod workers;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static dyn AnyKey> {
    [
        core::ALL,
        database::ALL,
        scheduler::ALL,
        dag_processor::ALL,
        logging::ALL,
        metrics::ALL,
        api::ALL,
        workers::ALL,
        secrets::ALL,
        callbacks::ALL,
        connection_test::ALL,
        state_store::ALL,
        traces::ALL,
        slipstream::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}
