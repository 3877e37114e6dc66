//! `slipstream triggers`.

use std::io::Read;
use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use slipstream_core::event::{Event, Position, TriggerSpec};
use slipstream_core::ids::{DagId, RunId, TaskId};

use crate::config::Config;
use crate::events::engine::{Asker, Before, Engine};
use crate::events::triggers::{self, About, Mode, NewExternal, TriggerError, Which};
use crate::events::wake::LogWake;
use crate::runtime::EventWake;
use crate::scheduler;
use crate::store::Db;
use crate::store::events as log;
use crate::store::triggers::registry::{self, TriggerRow};
use crate::store::triggers::{dead_letters, decisions, firings, progress};

use super::exit::{Exit, Failure};
use super::start;

/// Look at event triggers, add and remove them, pause them, and ask why.
///
/// Triggers in Dag files are named <dag_id>:<name>, <dag_id>.<task_id>:<name>, or with #<number> when they have no name.
#[derive(Args, Debug)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List all triggers.
    List {
        /// Only those of this Dag.
        #[arg(long)]
        dag: Option<String>,
        /// As JSON, one per line.
        #[arg(long)]
        json: bool,
    },
    /// Show a trigger: what it says, what it remembers, what it did last.
    Show {
        /// Its name.
        name: String,
    },
    /// Put a trigger on an existing Dag, or on a task of it; it sees events from now on.
    Add(Add),
    /// Pause a trigger: events pass it by, and are not made up for when it is resumed.
    Pause {
        /// Its name.
        name: String,
    },
    /// Resume a paused trigger from the end of the log on.
    Resume {
        /// Its name.
        name: String,
    },
    /// Delete a trigger that was added with `add`, or that its Dag no longer has.
    Delete {
        /// Its name.
        name: String,
    },
    /// Say what a trigger would make of events of the log, without doing anything.
    Test {
        /// Its name.
        name: String,
        /// Positions of events, in their order.
        #[arg(required = true)]
        positions: Vec<i64>,
    },
    /// Explain what an event, or events in a run or on a task, did and did not do.
    #[command(subcommand)]
    Explain(Explain),
    /// Put parked events to a trigger again, and make runs again that could not be made.
    Retry {
        /// Its name.
        name: String,
        /// Only the event at this position.
        #[arg(long)]
        position: Option<i64>,
    },
    /// Let parked events and failed firings of a trigger be.
    Skip {
        /// Its name.
        name: String,
        /// Only the event at this position.
        #[arg(long)]
        position: Option<i64>,
    },
    /// Put a stretch of the log to a trigger on a Dag that was not there then. Where it fired before it does not fire again.
    Replay(Replay),
}

/// A stretch of the log for a trigger.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The trigger's name.
    name: String,
    /// First position.
    #[arg(long)]
    from: i64,
    /// Last position [default: the last that has been evaluated].
    #[arg(long)]
    to: Option<i64>,
    /// Only say where it would fire.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Add {
    /// Its name, unique among all triggers.
    name: String,
    /// The Dag that it acts on.
    #[arg(long)]
    dag: String,
    /// The task that it acts on; without it: the Dag.
    #[arg(long)]
    task: Option<String>,
    /// A file with the trigger as JSON ({"version": 1, "on": …, "do": …}); - reads standard input.
    #[arg(long, conflicts_with_all = ["event", "action"])]
    spec: Option<PathBuf>,
    /// Key of the events on which it fires.
    #[arg(long, required_unless_present = "spec")]
    event: Option<String>,
    /// Namespace of the events.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// A filter over the event, in CEL: data.score > 0.8.
    #[arg(long = "where", value_name = "CEL")]
    filter: Option<String>,
    /// run or stop_runs for a Dag; start, stop or restart for a task [default: run, start].
    #[arg(long = "do", value_name = "ACTION")]
    action: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Explain {
    /// An event: what each trigger made of it, and what followed.
    Event {
        /// Its position.
        position: i64,
    },
    /// A run: which events made it, and what events did in it.
    Run {
        /// The Dag.
        dag_id: String,
        /// The run.
        run_id: String,
    },
    /// A task: which triggers it has, how far each has got, and what they did.
    Task {
        /// The Dag.
        dag_id: String,
        /// The task.
        task_id: String,
        /// Only in this run.
        #[arg(long)]
        run: Option<String>,
    },
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::Store(error) => error.into(),
            other => Self::new(Exit::Failed, other.to_string()),
        }
    }
}

pub(super) fn run(options: Options) -> Result<(), Failure> {
    start::with_events(async |config, db| work(options.what, config, db).await)
}

/// Runs a replay: also reached as `slipstream events replay`.
pub(super) fn run_replay(options: Replay) -> Result<(), Failure> {
    start::with_events(async |config, db| replay(options, config, db).await)
}

async fn work(what: What, config: &Config, db: &Db) -> Result<(), Failure> {
    let now = Utc::now();
    match what {
        What::List { dag, json } => list(db, dag.as_deref(), json).await?,
        What::Show { name } => show(db, &name).await?,
        What::Add(add) => {
            let new = external(add)?;
            let id = triggers::add(db, &new, now).await?;
            say!("Added trigger {} ({id}).", new.name);
        }
        What::Pause { name } => {
            triggers::pause(db, &name, now).await?;
            say!("Paused {name}.");
        }
        What::Resume { name } => {
            triggers::resume(db, &name, now).await?;
            say!("Resumed {name}.");
        }
        What::Delete { name } => {
            triggers::delete(db, &name).await?;
            say!("Deleted {name}.");
        }
        What::Test { name, positions } => test(config, db, &name, &positions).await?,
        What::Explain(explain) => {
            for line in triggers::explain(db, &about(explain), now).await? {
                say!("{line}");
            }
        }
        What::Retry { name, position } => {
            let tried = triggers::retry(&mut engine(config, db)?, &name, which(position), now).await?;
            say!("Tried again: {tried}.");
        }
        What::Skip { name, position } => {
            let skipped = triggers::skip(db, &name, which(position), now).await?;
            say!("Skipped: {skipped}.");
        }
        What::Replay(options) => replay(options, config, db).await?,
    }
    Ok(())
}

fn which(position: Option<i64>) -> Which {
    position.map_or(Which::All, |position| Which::At(Position(position)))
}

fn engine(config: &Config, db: &Db) -> Result<Engine, Failure> {
    let options = scheduler::run_options(config).map_err(Failure::failed)?;
    // The scheduler finds what this engine made at its next poll.
    Ok(Engine::new(db.clone(), options, LogWake::new(), EventWake::default(), Asker::python(config)))
}

async fn replay(options: Replay, config: &Config, db: &Db) -> Result<(), Failure> {
    if options.to.is_some_and(|to| to < options.from) {
        return Err(Failure::usage("--to lies before --from: there are no events to replay".to_owned()));
    }
    let stretch = (Position(options.from), Position(options.to.unwrap_or(i64::MAX)));
    let mode = if options.dry_run { Mode::None } else { Mode::Real };
    let mut engine = engine(config, db)?;
    let fired = triggers::replay(&mut engine, &options.name, stretch, mode, Utc::now()).await?;
    for one in &fired {
        let what = match (one.before, options.dry_run) {
            (Before::Fired, _) => "had fired before",
            (Before::Not, true) => "would fire",
            (Before::Not, false) => "fired",
        };
        say!("event {}: {what}: {}", one.position, one.reason);
    }
    say!("Firings: {}.", fired.iter().filter(|one| one.before == Before::Not).count());
    Ok(())
}

fn external(add: Add) -> Result<NewExternal, Failure> {
    let spec = match &add.spec {
        Some(path) => {
            let text = if path.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            } else {
                std::fs::read_to_string(path)
                    .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?
            };
            serde_json::from_str(&text)
                .map_err(|error| Failure::usage(format!("{} is not JSON: {error}", path.display())))?
        }
        None => {
            let default = if add.task.is_some() { "start" } else { "run" };
            let action = add.action.as_deref().unwrap_or(default);
            let mut event = json!({"key": add.event, "namespace": add.namespace});
            if let Some(filter) = &add.filter {
                event["where"] = filter.as_str().into();
            }
            let mut act = serde_json::Map::new();
            act.insert(action.to_owned(), Value::Object(serde_json::Map::new()));
            json!({"version": 1, "on": {"event": event}, "do": act})
        }
    };
    let (dag_id, task_id) = (DagId::from(add.dag), add.task.map(TaskId::from));
    Ok(NewExternal { name: add.name, dag_id, task_id, spec })
}

fn about(explain: Explain) -> About {
    match explain {
        Explain::Event { position } => About::Event(Position(position)),
        Explain::Run { dag_id, run_id } => About::Run(dag_id.into(), run_id.into()),
        Explain::Task { dag_id, task_id, run } => {
            About::Task(dag_id.into(), task_id.into(), run.map(RunId::from))
        }
    }
}

async fn list(db: &Db, dag: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let parked = dead_letters::counts(db).await?;
    for row in registry::all(db).await? {
        if dag.is_some_and(|dag| dag != row.dag_id.as_str()) {
            continue;
        }
        let letters = parked.iter().find(|(id, _)| *id == row.id).map_or(0, |(_, count)| *count);
        if as_json {
            let mut told = to_json(&row);
            told["parked"] = letters.into();
            say!("{told}");
        } else {
            let target = match &row.task_id {
                Some(task_id) => format!("{}.{task_id}", row.dag_id),
                None => row.dag_id.to_string(),
            };
            let mut note = if letters > 0 { format!("  {letters} parked") } else { String::new() };
            if let Some(why) = triggers::left_out(&row) {
                note.push_str(&format!("  left out: {}", why.lines().next().unwrap_or_default()));
            }
            say!("{:<40} {:<8} {:<9} {target}{note}", row.name, row.status, row.origin);
        }
    }
    Ok(())
}

fn to_json(row: &TriggerRow) -> Value {
    json!({
        "id": row.id.0, "name": row.name, "dag_id": row.dag_id, "task_id": row.task_id, "origin": row.origin.as_str(),
        "status": row.status.as_str(), "from_position": row.from_position, "spec": row.spec, "left_out": triggers::left_out(row),
        "created_at": row.created_at, "updated_at": row.updated_at,
    })
}

async fn show(db: &Db, name: &str) -> Result<(), Failure> {
    let row = registry::named(db, name).await?;
    say!("{:#}", to_json(&row));
    if let Err(error) = TriggerSpec::from_json(&row.spec) {
        say!("left out: {error}");
    }
    for letter in dead_letters::parked(db, row.id).await? {
        say!(
            "parked: event {} {}: {} (attempts: {})",
            letter.position,
            letter.run_id,
            letter.error,
            letter.attempts
        );
    }
    for saved in progress::of_trigger(db, row.id).await? {
        let (run, key) = (&saved.key.run_id, &saved.key.correlation);
        say!("remembers [{run}] [{key}] up to event {}: {}", saved.position, saved.progress["state"]);
    }
    for firing in firings::list(db, firings::Of::Trigger(row.id), 10).await? {
        let run = firing.result_run_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let reason = firing.reason.unwrap_or_default();
        say!("fired at event {}: {} {run} {reason}", firing.position, firing.status);
    }
    for decision in decisions::of_trigger(db, row.id, None, 10).await? {
        say!("event {} {}: {}: {}", decision.position, decision.run_id, decision.verdict, decision.reason);
    }
    Ok(())
}

async fn test(config: &Config, db: &Db, name: &str, positions: &[i64]) -> Result<(), Failure> {
    let row = registry::named(db, name).await?;
    let spec = TriggerSpec::from_json(&row.spec).map_err(Failure::failed)?;
    let events: Vec<Event> = log::at(db, &positions.iter().copied().map(Position).collect()).await?;
    let asker = Asker::python(config);
    let tried = triggers::try_out(&spec, (&row.dag_id, None, row.id), &events, &asker, Utc::now()).await;
    for (event, tried) in events.iter().zip(tried) {
        say!("event {} ({}): {}: {}", event.position, event.key, tried.verdict, tried.reason);
    }
    let absent = |position: &&i64| !events.iter().any(|event| event.position == Position(**position));
    for position in positions.iter().filter(absent) {
        say!("event {position}: not in the log, or not any more");
    }
    Ok(())
}
