//! Which events a command is about.

use chrono::{DateTime, Utc};
use clap::Args;
use slipstream_core::event::Position;

use crate::cli::options::{moment, pattern};
use crate::store::events::{Filter, Glob, Match};

/// Patterns are exact, or end with `*`; an option that is given several times means any of them.
#[derive(Args, Debug, Default)]
pub(super) struct Wanted {
    /// Only this namespace.
    #[arg(short, long, value_name = "PATTERN", value_parser = pattern)]
    namespace: Vec<Glob>,
    /// Only this key.
    #[arg(short, long, value_name = "PATTERN", value_parser = pattern)]
    key: Vec<Glob>,
    /// Only this type.
    #[arg(short = 't', long = "type", value_name = "PATTERN", value_parser = pattern)]
    event_type: Vec<Glob>,
    /// Only from this source.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    source: Vec<Glob>,
    /// Only from this sender.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    sender: Vec<Glob>,
    /// Only what happened then or later, as in 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Only up to this position.
    #[arg(long, value_name = "POSITION")]
    until: Option<i64>,
    /// Only after this position.
    #[arg(long, value_name = "POSITION")]
    pub(super) after: Option<i64>,
}

impl Wanted {
    pub(super) fn filter(&self) -> Filter {
        let any = |patterns: &[Glob]| Match(patterns.to_vec());
        Filter {
            namespace: any(&self.namespace),
            key: any(&self.key),
            event_type: any(&self.event_type),
            source: any(&self.source),
            sender: any(&self.sender),
            since: self.since,
            until: self.until.map(Position),
            ..Filter::default()
        }
    }

    pub(super) fn after(&self) -> Position {
        Position(self.after.unwrap_or(0))
    }
}
