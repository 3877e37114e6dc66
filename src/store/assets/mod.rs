//! Assets: queued events that make runs, and which assets are in use.

pub mod events;
pub mod lookup;
pub mod orphanage;
pub mod partitions;
pub mod queue;
