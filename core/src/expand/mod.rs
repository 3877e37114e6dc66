//! How many copies a mapped task has, and which copies of other tasks belong to which copy.

mod count;
mod relevant;

pub use count::{Count, count, group_count, literal_count};
pub use relevant::{Relevant, relevant_map_indexes};
