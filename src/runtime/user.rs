//! The system user that this process runs as.

use nix::unistd::{Uid, User};

/// The user's name, or its number if it has none: what Airflow's `getuser()` gives.
pub fn unix_user() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
