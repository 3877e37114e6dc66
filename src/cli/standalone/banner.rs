//! What `standalone` prints.

use std::io::Write as _;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::keys;

use super::Place;

/// One line of one part's output.
pub(super) fn line(name: &str, text: &str) {
    // A terminal that is gone is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{name:<13} | {text}");
}

/// One line of our own.
pub(super) fn say(text: &str) {
    line("standalone", text);
}

/// Waits until the UI answers, and says where it is.
pub(super) async fn when_ready(place: &Place) {
    let port = u16::try_from(place.config.get(&keys::api::PORT)).unwrap_or_default();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    say("");
    say(&format!("The UI is at {}", place.url()));
    say(&login(place));
    say(&format!("Everything is kept in {}", place.home.display()));
    say("Ctrl-C stops everything");
    say("");
}

fn login(place: &Place) -> String {
    if !place.config.get(&keys::core::AUTH_MANAGER).ends_with(".SimpleAuthManager") {
        return "Log in as [core] auth_manager wants it".to_owned();
    }
    if place.config.get(&keys::core::SIMPLE_AUTH_MANAGER_ALL_ADMINS) {
        return "No login is needed: everybody is an administrator".to_owned();
    }
    let users = place.config.get(&keys::core::SIMPLE_AUTH_MANAGER_USERS);
    let user = users.split(',').next().and_then(|user| user.split(':').next()).unwrap_or("admin");
    let file = match place.config.get(&keys::core::SIMPLE_AUTH_MANAGER_PASSWORDS_FILE) {
        file if file.is_empty() => place.home.join("simple_auth_manager_passwords.json.generated"),
        file => file.into(),
    };
    format!("Log in as {user}; the password is in {}", file.display())
}
