//! Why something happened, and why something did not.

use chrono::{DateTime, Utc};
use slipstream_core::event::{Event, Position, TriggerSpec};
use slipstream_core::ids::{DagId, RunId, TaskId};

use super::{TriggerError, try_out};
use crate::events::engine::Asker;
use crate::store::events as log;
use crate::store::triggers::firings::{self, Firing, Of};
use crate::store::triggers::registry::{self, Status, TriggerRow};
use crate::store::triggers::{commands, cursor, dead_letters, decisions, progress};
use crate::store::{Conn, Db, StoreError};

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An event: what each trigger made of it, and what followed.
    Event(Position),
    /// A run: which events made it, and what events did in it.
    Run(DagId, RunId),
    /// A task: which triggers it has, how far each has got, and what they did.
    Task(DagId, TaskId, Option<RunId>),
}

/// Most firings, decisions and the like of one kind in an answer.
const MOST: i64 = 20;

/// Explains in lines for a person.
///
/// # Errors
/// When it does not exist; as any statement.
pub async fn explain(db: &Db, about: &About, now: DateTime<Utc>) -> Result<Vec<String>, TriggerError> {
    let rows = registry::all(db).await?;
    let told = Told { db, rows: &rows };
    Ok(match about {
        About::Event(position) => told.event(*position, now).await?,
        About::Run(dag_id, run_id) => told.run(dag_id, run_id).await?,
        About::Task(dag_id, task_id, run_id) => told.task(dag_id, task_id, run_id.as_ref()).await?,
    })
}

struct Told<'a> {
    db: &'a Db,
    rows: &'a [TriggerRow],
}

impl Told<'_> {
    fn name(&self, id: crate::store::triggers::TriggerId) -> String {
        let row = self.rows.iter().find(|row| row.id == id);
        row.map_or_else(|| format!("trigger {id} (deleted)"), |row| row.name.clone())
    }

    async fn event(&self, position: Position, now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let event = log::get(self.db, position).await?;
        let Some(event) = event else {
            return Err(StoreError::NotFound(format!("the event at position {position} was")));
        };
        let mut lines = vec![describe(&event)];
        let done = cursor::get(self.db, cursor::ENGINE).await?.unwrap_or_default();
        if position > done {
            lines.push(format!("It has not been evaluated yet: the engine is at position {done}."));
        }
        let decisions = decisions::of_event(self.db, position).await?;
        for decision in &decisions {
            let run = if decision.run_id.is_empty() {
                String::new()
            } else {
                format!(" in run {}", decision.run_id)
            };
            lines.push(format!(
                "{}{run}: {}: {}",
                self.name(decision.trigger),
                decision.verdict,
                decision.reason
            ));
        }
        for row in self.rows {
            if decisions.iter().all(|decision| decision.trigger != row.id) {
                lines.push(format!("{}: {}", row.name, why_not(row, &event, now).await));
            }
        }
        for firing in firings::list(self.db, Of::Event(position), MOST).await? {
            lines.extend(self.firing(&firing).await?);
        }
        Ok(lines)
    }

    async fn run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Vec<String>, StoreError> {
        let mut lines = vec![format!("Run {run_id} of Dag {dag_id}")];
        let found = firings::list(self.db, Of::Run(dag_id, run_id), MOST).await?;
        if found.is_empty() {
            let sql = self.db.sql("SELECT 1 AS one FROM dag_run WHERE dag_id = ? AND run_id = ?");
            if self.db.one(sql.bind(dag_id).bind(run_id)).await?.is_none() {
                return Err(StoreError::NotFound(format!("the run {run_id} of Dag {dag_id} was")));
            }
            lines.push("No trigger made it, and none has fired in it.".to_owned());
        }
        for firing in &found {
            if firing.result_run_id.as_ref() == Some(run_id) {
                lines.push(format!("It was made by {}:", self.name(firing.key.trigger)));
            }
            lines.extend(self.firing(firing).await?);
            let positions = firing.events.iter().copied().collect();
            for event in log::at(self.db, &positions).await? {
                lines.push(format!("    with {}", describe(&event)));
            }
        }
        let own = self.rows.iter().filter(|row| row.dag_id == *dag_id && row.task_id.is_some());
        for row in own {
            for decision in decisions::of_trigger(self.db, row.id, Some(run_id.as_str()), 5).await? {
                let (position, reason) = (decision.position, &decision.reason);
                lines.push(format!("{}: event {position}: {}: {reason}", row.name, decision.verdict));
            }
        }
        Ok(lines)
    }

    async fn task(
        &self,
        dag_id: &DagId,
        task_id: &TaskId,
        run_id: Option<&RunId>,
    ) -> Result<Vec<String>, StoreError> {
        let mut lines = vec![format!("Task {task_id} of Dag {dag_id}")];
        let own: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.dag_id == *dag_id && row.task_id.as_ref() == Some(task_id))
            .collect();
        if own.is_empty() {
            let sql =
                self.db.sql("SELECT 1 AS one FROM task_instance WHERE dag_id = ? AND task_id = ? LIMIT 1");
            if self.db.one(sql.bind(dag_id).bind(task_id)).await?.is_none() {
                return Err(StoreError::NotFound(format!(
                    "the task {task_id} was in no run of Dag {dag_id}, and a trigger on it was"
                )));
            }
            lines.push("It has no triggers.".to_owned());
        }
        for row in own {
            lines.push(format!("{} ({}, {}): {}", row.name, row.origin, row.status, row.spec));
            for letter in dead_letters::parked(self.db, row.id).await? {
                lines.push(format!("  parked: event {}: {}", letter.position, letter.error));
            }
            for saved in progress::of_trigger(self.db, row.id).await? {
                if run_id.is_some_and(|run_id| run_id.as_str() != saved.key.run_id) {
                    continue;
                }
                let key = if saved.key.correlation.is_empty() {
                    String::new()
                } else {
                    format!(" for {}", saved.key.correlation)
                };
                lines.push(format!(
                    "  remembers in run {}{key}, up to event {}: {}",
                    saved.key.run_id, saved.position, saved.progress["state"]
                ));
            }
            for decision in decisions::of_trigger(self.db, row.id, run_id.map(RunId::as_str), MOST).await? {
                let (position, run, reason) = (decision.position, &decision.run_id, &decision.reason);
                lines.push(format!("  event {position} in run {run}: {}: {reason}", decision.verdict));
            }
        }
        for firing in firings::list(self.db, Of::Task(dag_id, task_id), MOST).await? {
            if run_id.is_none_or(|run_id| run_id.as_str() == firing.key.run_id) {
                lines.extend(self.firing(&firing).await?);
            }
        }
        Ok(lines)
    }

    async fn firing(&self, firing: &Firing) -> Result<Vec<String>, StoreError> {
        let mut line = format!(
            "  {} fired at event {} ({}): {}",
            self.name(firing.key.trigger),
            firing.position,
            firing.action,
            firing.status
        );
        if let Some(run_id) = &firing.result_run_id {
            line.push_str(&format!(", run {run_id}"));
        }
        if let Some(reason) = &firing.reason {
            line.push_str(&format!(", {reason}"));
        }
        let mut lines = vec![line];
        for command in commands::of_firing(self.db, firing.id).await? {
            lines.push(format!("    {command}"));
        }
        Ok(lines)
    }
}

fn describe(event: &Event) -> String {
    format!(
        "event {}: key {} in namespace {}, type {}, {} from {}, at {}",
        event.position, event.key, event.namespace, event.event_type, event.id, event.source, event.time
    )
}

/// Why a trigger has decided nothing about an event: asked again, with an empty memory.
async fn why_not(row: &TriggerRow, event: &Event, now: DateTime<Utc>) -> String {
    match row.status {
        Status::Retired => return "its Dag no longer has it".to_owned(),
        Status::Paused => return "it is paused".to_owned(),
        Status::Active => {}
    }
    if event.position <= row.from_position {
        return format!("it sees events after position {} only", row.from_position);
    }
    let spec = match TriggerSpec::from_json(&row.spec) {
        Ok(spec) => spec,
        Err(error) => return format!("it cannot be understood: {error}"),
    };
    let event = std::slice::from_ref(event);
    let tried = try_out(&spec, (&row.dag_id, None, row.id), event, &Asker::nobody(), now).await;
    match tried.first() {
        Some(tried) if tried.verdict == "ignored" => tried.reason.clone(),
        Some(_) if row.task_id.is_some() => "no run was active that could see it".to_owned(),
        Some(tried) if spec.asks_python() && tried.verdict == "failed" => {
            "its Python function has not been asked about it yet".to_owned()
        }
        Some(tried) => format!("by itself: {}: {}", tried.verdict, tried.reason),
        None => String::new(),
    }
}
