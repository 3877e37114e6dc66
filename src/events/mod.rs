//! The notification service: events in, events out, and what they set off.

pub mod engine;
pub mod triggers;
pub mod wake;
