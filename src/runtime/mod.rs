//! What every role needs of the process it runs in: its name on the network, its memory, when it is asked to stop, and how its
//! parts wake each other.

mod event_wake;
mod hostname;
pub mod process;
mod shutdown;
mod user;

pub use event_wake::EventWake;
pub use hostname::hostname;
pub use shutdown::{Asker, Shutdown};
pub use user::unix_user;
