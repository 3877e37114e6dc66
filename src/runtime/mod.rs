//! What every role needs of the process it runs in: its name on the network, its memory, when it is asked to stop, how its
//! parts wake each other, and sockets to processes that it starts.

mod event_wake;
mod hostname;
pub mod process;
mod shutdown;
mod socket_pair;
mod user;

pub use event_wake::EventWake;
pub use hostname::hostname;
pub use shutdown::{Asker, Shutdown};
pub use socket_pair::socket_pair;
pub use user::unix_user;
