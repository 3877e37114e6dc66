//! What Slipstream decides, as pure functions over facts with the time as an argument.
//!
//! Nothing here does I/O, reads a clock, draws a random number or names a database: a decision can be replayed from
//! its facts. The crate `slipstream` loads the facts, calls these functions and writes what they decided.

pub mod admit;
pub mod asset;
pub mod dag;
pub mod deps;
pub mod event;
pub mod executor;
pub mod expand;
pub mod ids;
pub mod run;
pub mod schedule;
pub mod state;
