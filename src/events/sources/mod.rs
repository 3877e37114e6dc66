//! Sources of events that the scheduler reads by itself: Kafka and NATS JetStream.
//!
//! A source is read by one scheduler at a time, which has its lease. Where it is read on is what our own table says, never
//! what the broker remembers; events and offsets are stored in one transaction.

mod config;
mod fields;
#[cfg(feature = "kafka")]
mod kafka;
mod kafka_config;
mod mapping;
mod message;
mod nats;
mod nats_config;
mod reader;
mod run;

#[cfg(test)]
mod fake;
#[cfg(test)]
#[cfg(feature = "kafka")]
mod kafka_tests;
#[cfg(test)]
mod nats_tests;
#[cfg(test)]
mod tests;

pub use config::{Kind, SourceConfig, Sources};
pub use run::{Context, Pace, Running, start};
