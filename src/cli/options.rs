//! Options that every long-running command has, as Airflow's commands have them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::store::events::Glob;
use crate::telemetry::logging::Verbosity;

use super::exit::Failure;

/// Reads a moment.
///
/// # Errors
/// Says how it is written.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "a time is written with its zone, as in 2026-01-31T12:00:00Z".to_owned())
}

/// Reads a pattern for an attribute of events.
///
/// # Errors
/// It would not mean what it looks like.
pub(super) fn pattern(text: &str) -> Result<Glob, String> {
    let glob = Glob::from(text);
    glob.check().map_err(|error| error.to_string())?;
    Ok(glob)
}

/// Where a process leaves its traces.
#[derive(Args, Debug, Clone)]
pub(super) struct Process {
    /// Write the process id to this file; it is removed at the end.
    #[arg(long, value_name = "FILE")]
    pub(super) pid: Option<PathBuf>,
    /// Run in the background, apart from this terminal.
    #[arg(short = 'D', long)]
    pub(super) daemon: bool,
    /// With --daemon: write the standard output to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) stdout: Option<PathBuf>,
    /// With --daemon: write the standard error to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) stderr: Option<PathBuf>,
    /// Write logs to this file instead of the standard output.
    #[arg(short = 'l', long, value_name = "FILE")]
    pub(super) log_file: Option<PathBuf>,
    /// Log everything, also what is of use to developers only.
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Airflow's hot reload of its own code; there is nothing to reload here.
    #[arg(short, long, hide = true)]
    dev: bool,
}

impl Process {
    pub(super) fn verbosity(&self) -> Verbosity {
        if self.verbose { Verbosity::Debug } else { Verbosity::Configured }
    }

    /// Refuses what cannot be honoured, or not together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.dev {
            return Err(Failure::usage(
                "--dev is not supported: Slipstream is a binary that has no code to reload",
            ));
        }
        if !self.daemon && (self.stdout.is_some() || self.stderr.is_some()) {
            return Err(Failure::usage(
                "--stdout and --stderr go with --daemon; use the shell's > and 2> otherwise",
            ));
        }
        Ok(())
    }
}

/// `--num-runs`: −1 is "for ever", as the configuration says.
pub(super) fn num_runs(given: Option<i64>, configured: i64) -> Option<u64> {
    u64::try_from(given.unwrap_or(configured)).ok().filter(|runs| *runs > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_a_star_in_the_middle_is_refused_and_the_reason_said() {
        assert_eq!(pattern("model.*"), Ok(Glob::Prefix("model.".to_owned())));
        assert_eq!(pattern("*"), Ok(Glob::Any));
        let why = pattern("*a*b").unwrap_err();
        assert!(why.starts_with("`*a*b` has a `*` before its end"), "{why}");
    }
}
