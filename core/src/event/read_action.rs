//! Reading a trigger's `do`.

use serde_json::Value;

use super::read::{Part, wrong};
use super::{Action, Mark, Mode, NewRun, SpecError, WhenRunning, WhileActive};

/// The first is the default.
const MODES: &[(&str, Mode)] =
    &[("gate", Mode::Gate), ("event_only", Mode::EventOnly), ("control", Mode::Control)];
const WHEN_RUNNING: &[(&str, WhenRunning)] =
    &[("ignore", WhenRunning::Ignore), ("queue", WhenRunning::Queue), ("coalesce", WhenRunning::Coalesce)];
const WHILE_ACTIVE: &[(&str, WhileActive)] =
    &[("run", WhileActive::Run), ("skip", WhileActive::Skip), ("queue", WhileActive::Queue)];
const RUN_MARKS: &[(&str, Mark)] = &[("failed", Mark::Failed), ("success", Mark::Success)];
const TASK_MARKS: &[(&str, Mark)] =
    &[("failed", Mark::Failed), ("success", Mark::Success), ("skipped", Mark::Skipped)];

impl Action {
    /// Reads a trigger's `do`: an object with one name, that of the action.
    pub(super) fn from_json(value: &Value) -> Result<Self, SpecError> {
        let known = ["run", "stop_runs", "stop_run", "start", "stop", "restart"];
        Part::new("do", value, &known)?;
        let mut entries = value.as_object().into_iter().flatten();
        let (Some((name, options)), None) = (entries.next(), entries.next()) else {
            return Err(wrong("do", format!("it must have exactly one of {}", known.join(", "))));
        };
        let place = format!("do.{name}");
        Ok(match name.as_str() {
            "run" => Self::NewRun(new_run(&place, options)?),
            "stop_runs" => {
                Self::StopRuns { mark: Part::new(&place, options, &["mark"])?.choice("mark", RUN_MARKS)? }
            }
            "stop_run" => {
                Self::StopRun { mark: Part::new(&place, options, &["mark"])?.choice("mark", RUN_MARKS)? }
            }
            "start" => {
                let part = Part::new(&place, options, &["mode", "when_running"])?;
                let when_running = part.choice("when_running", WHEN_RUNNING)?;
                Self::Start { mode: part.choice("mode", MODES)?, when_running }
            }
            "stop" => {
                let part = Part::new(&place, options, &["mark", "grace"])?;
                Self::Stop { mark: part.choice("mark", TASK_MARKS)?, grace: part.seconds("grace")? }
            }
            _ => {
                let part = Part::new(&place, options, &["mode", "grace"])?;
                let mode = part.choice("mode", &[MODES[2], MODES[0], MODES[1]])?;
                Self::Restart { mode, grace: part.seconds("grace")? }
            }
        })
    }
}

fn new_run(place: &str, options: &Value) -> Result<NewRun, SpecError> {
    let known = ["while_active", "lane", "conf", "logical_date", "partition_key"];
    let part = Part::new(place, options, &known)?;
    Ok(NewRun {
        while_active: part.choice("while_active", WHILE_ACTIVE)?,
        lane: part.field("lane")?,
        conf: part.field("conf")?,
        logical_date: part.field("logical_date")?,
        partition_key: part.field("partition_key")?,
    })
}
