//! Whole messages in and out.
