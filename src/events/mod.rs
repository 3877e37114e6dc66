//! The notification service: events in, events out, and what they set off.

pub mod access;
pub mod aiflow;
pub mod cloudevent;
pub mod engine;
pub mod hooks;
pub mod http;
pub mod ingest;
pub mod limits;
pub mod service;
pub mod sources;
pub mod triggers;
pub mod wake;
