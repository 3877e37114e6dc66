//! What a scheduler answers over HTTP: its health, and the logs of tasks that run on this machine.

pub mod health;
pub mod logs;
mod serve;

pub use serve::ApiError;
