//! The ports that the parts will listen on: all of them are looked at before anything starts.

use std::net::TcpListener;

use crate::cli::exit::{Exit, Failure};
use crate::config::keys;

use super::Place;

/// # Errors
/// When one or more are in use; all are named.
pub(super) fn check(place: &Place) -> Result<(), Failure> {
    let port = |key| place.config.get(key);
    let mut wanted = vec![
        ("the UI", port(&keys::api::PORT), "--port"),
        ("logs of running tasks", port(&keys::logging::WORKER_LOG_SERVER_PORT), "--log-port"),
        ("logs of running triggers", port(&keys::logging::TRIGGER_LOG_SERVER_PORT), "--trigger-log-port"),
    ];
    if place.config.get(&keys::scheduler::ENABLE_HEALTH_CHECK) {
        let health = port(&keys::scheduler::SCHEDULER_HEALTH_CHECK_SERVER_PORT);
        wanted.push(("the scheduler's health", health, "[scheduler] scheduler_health_check_server_port"));
    }
    let taken = wanted.iter().filter(|(_, port, _)| !is_free(*port));
    let taken: Vec<_> = taken
        .map(|(what, port, option)| format!("port {port} for {what} (change it with {option})"))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::InUse,
        format!("in use by another process: {}; nothing was started", taken.join(", ")),
    ))
}

fn is_free(port: i64) -> bool {
    u16::try_from(port).is_ok_and(|port| TcpListener::bind(("0.0.0.0", port)).is_ok())
}
