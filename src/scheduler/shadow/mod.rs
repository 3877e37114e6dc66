//! `slipstream scheduler --shadow`: what we would do beside a stock scheduler, and where that does something else.
//!
//! Nothing is written, nothing is locked, no work is handed to anyone. At each look the facts are read and judged as the loop
//! does it ([`judge`](super::judge), [`start_runs`](super::start_runs), [`create_runs`](super::create_runs)); what would
//! follow is kept as foreseen ([`plan`]). At the next look the rows tell what the other scheduler did in between ([`step`]).
//!
//! * What it did and we foresaw is agreed.
//! * What it did and we did not foresee is judged again with the facts of the present, as if that one task had not moved:
//!   facts may have come and been used between two looks. If that never leads to it within the window, it is a difference.
//! * What we foresaw and it does not do within the window is a difference too; if the facts change before, it is withdrawn.
//!
//! What people change (the audit log says so) is not held against the scheduler: such runs are taken as they are, and
//! followed again a few seconds later.

mod book;
mod difference;
mod making;
mod plan;
mod step;
#[cfg(test)]
mod tests;
mod watcher;

pub use difference::{Difference, Kind, Summary};
pub use watcher::{ShadowOptions, Watcher};
