//! `slipstream scheduler --shadow`.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::scheduler::shadow::{ShadowOptions, Summary, Watcher};
use crate::store::Access;

use super::exit::{Exit, Failure};
use super::options::Process;
use super::start::{self, Started};

/// The time between two looks at the database.
const PACE: Duration = Duration::from_millis(500);

#[derive(Args, Debug, Clone)]
pub(super) struct Shadow {
    /// Beside a running stock scheduler: schedule nothing and write nothing, but say where Slipstream would decide
    /// differently. Ends with exit code 9 if it would.
    #[arg(long)]
    shadow: bool,
    /// With --shadow: seconds that the stock scheduler may take for what Slipstream would do at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "shadow")]
    shadow_window: u32,
    /// With --shadow: end after so many seconds; without it, at SIGINT or SIGTERM.
    #[arg(long, value_name = "SECONDS", requires = "shadow")]
    shadow_for: Option<u32>,
    /// With --shadow: write differences and the summary to this file instead of the standard output.
    #[arg(long, value_name = "FILE", requires = "shadow")]
    shadow_report: Option<PathBuf>,
    /// With --shadow: one JSON object per line instead of text.
    #[arg(long, requires = "shadow")]
    shadow_json: bool,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Shadow {
    /// The options, if a shadow is wanted.
    pub(super) fn wanted(&self) -> Option<Self> {
        self.shadow.then(|| self.clone())
    }

    fn form(&self) -> Form {
        if self.shadow_json { Form::Json } else { Form::Text }
    }
}

/// Watches the stock scheduler until the time is up or a signal comes.
pub(super) fn run(options: Shadow, process: &Process) -> Result<(), Failure> {
    start::role_for("shadow", process, Access::ReadOnly, |started| work(options, started))
}

async fn work(options: Shadow, started: Started) -> Result<(), Failure> {
    let Started { config, db, shutdown, .. } = started;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let shadow = ShadowOptions {
        window: seconds(options.shadow_window),
        length: options.shadow_for.map(seconds),
        pace: PACE,
    };
    let mut out = open(&options)?;
    let form = options.form();
    let watcher = Watcher::new(db.clone(), &config, shadow).map_err(Failure::failed)?;
    let mut written = Ok(());
    let summary = watcher
        .run(shutdown, |difference| {
            if written.is_ok() {
                written = line(&mut out, form, difference);
            }
        })
        .await;
    db.close().await;
    written?;
    match form {
        Form::Text => writeln!(out, "{summary}")?,
        Form::Json => line(&mut out, form, &Last { summary })?,
    }
    match summary.differences() {
        0 => Ok(()),
        several => Err(Failure::new(Exit::Differs, differs(several))),
    }
}

/// The last line in JSON.
#[derive(Serialize)]
struct Last {
    summary: Summary,
}

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.summary.fmt(f)
    }
}

fn differs(several: u64) -> String {
    let decisions = if several == 1 { "decision" } else { "decisions" };
    format!("the stock scheduler took {several} {decisions} differently, see the report")
}

fn open(options: &Shadow) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = &options.shadow_report else { return Ok(Box::new(io::stdout())) };
    let file = File::create(path).map_err(|error| {
        Failure::usage(format!("--shadow-report {} cannot be written: {error}", path.display()))
    })?;
    Ok(Box::new(file))
}

fn line(out: &mut dyn Write, form: Form, what: &(impl Serialize + std::fmt::Display)) -> io::Result<()> {
    match form {
        Form::Text => writeln!(out, "{what}")?,
        Form::Json => writeln!(out, "{}", serde_json::to_string(what)?)?,
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::shadow::Difference;

    #[test]
    fn a_difference_is_one_line_in_either_form() {
        let difference = Difference {
            at: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            kind: crate::scheduler::shadow::Kind::Late,
            dag_id: "d".into(),
            run_id: Some("r".into()),
            task_id: Some("t".into()),
            map_index: Some(-1),
            ours: "schedule it".into(),
            theirs: "nothing".into(),
            why: "its dependencies are met".into(),
        };
        let mut text = Vec::new();
        line(&mut text, Form::Text, &difference).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "2026-01-01T00:00:00.500Z late dag_id=d run_id=r task_id=t ours=\"schedule it\" theirs=\"nothing\" \
             why=\"its dependencies are met\"\n"
        );
        let mut json = Vec::new();
        line(&mut json, Form::Json, &difference).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&read["kind"], &read["task_id"]), (&"late".into(), &"t".into()));
        assert_eq!(json.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
