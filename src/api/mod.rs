//! What a scheduler answers over HTTP: its health, its metrics, and the logs of tasks that run on this machine.

pub mod health;
pub mod logs;
pub mod metrics;
mod serve;

pub use serve::ApiError;
