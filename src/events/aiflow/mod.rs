//! The gRPC `NotificationService` of AIFlow 0.3.1, so that its client works unchanged.
//!
//! What AIFlow calls `version` is the position, its `value` and `context` are `data.value` and `data.context`. Where the
//! original is in error, this is right: a duplicate answers with the position of the event that was stored, two threads
//! that use one sequence number for different events lose none, the latest version is that of the key that was asked for,
//! and a long poll does not wait for what is there already.

mod calls;
mod convert;
mod members;
mod messages;
mod rpc;
mod server;

#[cfg(test)]
mod tests;

pub use server::{GrpcError, GrpcServer};
