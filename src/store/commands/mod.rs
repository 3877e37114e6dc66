//! `slipstream_command`: what events ask of tasks inside a run.
//!
//! The event engine writes a command in the transaction of its firing; a scheduler takes it while it holds the run's row,
//! in one transaction with its effect. A command that can have no effect any more is dropped with a reason.

pub mod change;
pub mod external;
pub mod grace;
pub mod heard;
pub mod load;
mod pending;
pub mod settle;
pub mod started;
mod told;

pub use load::{ByTask, Stored, also};
pub use pending::{Found, drop_of_run, find, is_being_stopped};
