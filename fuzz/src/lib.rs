//! What is fuzzed: everything that reads bytes that someone else wrote. Each target is a function that must neither panic nor
//! take long, whatever it is given. `tests/fuzz_seeds.rs` runs the same functions over the seeds.

#[cfg(feature = "service")]
pub mod cloudevent;
pub mod cron;
pub mod dag;
pub mod filter;
#[cfg(feature = "service")]
pub mod frame;
pub mod timetable;
