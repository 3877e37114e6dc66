//! The notification service: events in, events out, and what they set off.

pub mod wake;
