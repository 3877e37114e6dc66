//! Sources of events outside of the database: who reads one, and how far it has been read.
//!
//! Offsets are written in the transaction that appends the events, each only where it is still what the reader thinks
//! it is: exactly once into the log, whoever else reads the same source. The lease only spares others the work.

mod lease;
mod list;
mod take;

#[cfg(test)]
mod tests;

pub use lease::{Held, Lease, claim, fail, register, release, renew};
pub use list::{Partition, SourceRow, forget, list, offsets};
pub use take::{Batch, Step, Taken, lags, place, refused, take};
