//! What every role needs of the process it runs in: its name on the network, and when it is asked to stop.

mod hostname;
mod shutdown;

pub use hostname::hostname;
pub use shutdown::{Asker, Shutdown};
