//! Reports of a task about its own end, and about the tasks after it.

use chrono::{DateTime, Utc};
use rmpv::Value;
use slipstream_core::ids::{MapIndex, TaskId};
use slipstream_core::state::TaskState;

use super::super::value::Fields;
use super::failure::Failure;
use super::{Answer, Answerer, Response, SecretsBackend, Terminal};
use crate::store::execution::assets::AssetProfile;
use crate::store::execution::{self, AwaitInput, Deferral, RetryReport, Success};

impl<B: SecretsBackend> Answerer<B> {
    /// Writes or remembers the end of the task.
    pub(super) async fn end(&mut self, fields: &Fields<'_>, body: &Value) -> Result<Answer, Failure> {
        self.ti()?;
        if fields.kind() != "RescheduleTask" {
            self.rendered_map_index = fields.text_opt("rendered_map_index")?.map(str::to_owned);
        }
        if fields.kind() == "TaskState" {
            let state = final_state(fields)?;
            let terminal =
                Terminal::Remembered { state, rendered_map_index: self.rendered_map_index.clone() };
            return Ok(Answer { terminal: Some(terminal), ..Answer::default() });
        }
        // Kept until it is written: if the write fails, it is repeated after the process has exited.
        self.unsent = Some(body.clone());
        let terminal = match self.write_end(fields).await {
            Ok(state) => Answer { terminal: Some(Terminal::Written { state }), ..Answer::default() },
            Err(failure) => {
                tracing::error!(asker = ?self.asker, kind = fields.kind(), %failure, "the task's end could not be written");
                let terminal = direct_state(fields.kind()).map(|state| Terminal::Unsent { state });
                return Ok(Answer { body: None, error: Some(failure.response(self.asker)), terminal });
            }
        };
        self.unsent = None;
        Ok(terminal)
    }

    /// Writes the end that could not be written before ([`Terminal::Unsent`]). `None` if there is nothing to repeat. May
    /// be called again after a failure.
    ///
    /// # Errors
    /// As the report itself.
    pub async fn replay(&mut self) -> Option<Result<Terminal, execution::ExecutionError>> {
        let body = self.unsent.clone()?;
        let fields = Fields::new(&body)?;
        match self.write_end(&fields).await {
            Ok(state) => {
                self.unsent = None;
                Some(Ok(Terminal::Written { state }))
            }
            Err(Failure::Execution(error)) => Some(Err(error)),
            Err(failure) => Some(Err(crate::store::StoreError::Invalid(failure.to_string()).into())),
        }
    }

    async fn write_end(&self, fields: &Fields<'_>) -> Result<TaskState, Failure> {
        let ti = self.ti()?;
        let (db, options) = (&self.db, &self.options.execution);
        match fields.kind() {
            "SucceedTask" => execution::succeed(db, ti, &self.success(fields)?, options).await.map(drop)?,
            "RetryTask" => execution::retry(db, ti, &self.retry_report(fields)?).await.map(drop)?,
            "DeferTask" => {
                execution::defer(db, ti, &deferral(fields)?, options.multi_team).await.map(drop)?;
            }
            "AwaitInputTask" => execution::await_input(db, ti, &await_input(fields)?).await.map(drop)?,
            "RescheduleTask" => {
                let date = fields.time("reschedule_date")?;
                execution::reschedule(db, ti, date, end_date(fields)?).await.map(drop)?;
            }
            _ => return Err(Failure::Unhandled),
        }
        direct_state(fields.kind()).ok_or(Failure::Unhandled)
    }

    fn success(&self, fields: &Fields<'_>) -> Result<Success, Failure> {
        let outlets = fields.list_opt("task_outlets", "a list of assets", read_profile)?.unwrap_or_default();
        let events = match fields.json_of_model("outlet_events")? {
            serde_json::Value::Array(events) => events,
            _ => Vec::new(),
        };
        Ok(Success {
            end_date: end_date(fields)?,
            task_outlets: outlets.into_iter().flatten().collect(),
            outlet_events: events,
            rendered_map_index: self.rendered_map_index.clone(),
        })
    }

    fn retry_report(&self, fields: &Fields<'_>) -> Result<RetryReport, Failure> {
        Ok(RetryReport {
            end_date: end_date(fields)?,
            rendered_map_index: self.rendered_map_index.clone(),
            retry_delay_seconds: fields.float_opt("retry_delay_seconds")?,
            retry_reason: fields.text_opt("retry_reason")?.map(str::to_owned),
        })
    }

    pub(super) async fn skip_downstream(&mut self, fields: &Fields<'_>) -> Response {
        let tasks = fields.list_opt("tasks", "a list of task ids", read_task)?;
        let tasks = tasks.ok_or_else(|| fields.bad("tasks", "is missing"))?;
        execution::skip_downstream(&self.db, self.ti()?, &tasks).await?;
        Ok(None)
    }
}

fn deferral(fields: &Fields<'_>) -> Result<Deferral, Failure> {
    Ok(Deferral {
        classpath: fields.text("classpath")?.to_owned(),
        trigger_kwargs: or_empty(fields.json_of_model("trigger_kwargs")?),
        trigger_timeout: fields.duration_opt("trigger_timeout")?,
        queue: fields.text_opt("queue")?.map(str::to_owned),
        next_method: fields.text("next_method")?.to_owned(),
        next_kwargs: or_empty(fields.json_of_model("next_kwargs")?),
    })
}

fn await_input(fields: &Fields<'_>) -> Result<AwaitInput, Failure> {
    Ok(AwaitInput {
        timeout: fields.duration_opt("timeout")?,
        next_method: fields.text("next_method")?.to_owned(),
        next_kwargs: or_empty(fields.json_of_model("next_kwargs")?),
    })
}

fn or_empty(kwargs: serde_json::Value) -> serde_json::Value {
    if kwargs.is_null() { serde_json::Value::Object(serde_json::Map::new()) } else { kwargs }
}

fn end_date(fields: &Fields<'_>) -> Result<DateTime<Utc>, Failure> {
    Ok(fields.time("end_date")?)
}

/// The state that a message brings the task to by being written.
fn direct_state(kind: &str) -> Option<TaskState> {
    match kind {
        "SucceedTask" => Some(TaskState::Success),
        "RetryTask" => Some(TaskState::UpForRetry),
        "DeferTask" => Some(TaskState::Deferred),
        "AwaitInputTask" => Some(TaskState::AwaitingInput),
        "RescheduleTask" => Some(TaskState::UpForReschedule),
        _ => None,
    }
}

fn final_state(fields: &Fields<'_>) -> Result<TaskState, Failure> {
    match fields.text("state")? {
        "failed" => Ok(TaskState::Failed),
        "skipped" => Ok(TaskState::Skipped),
        "removed" => Ok(TaskState::Removed),
        other => Err(fields.bad("state", format!("is `{other}`, not a state that a task can name")).into()),
    }
}

/// An outlet; `Some(None)` for one that Airflow passes over.
fn read_profile(value: &Value) -> Option<Option<AssetProfile>> {
    let member = |name: &str| {
        value
            .as_map()?
            .iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .and_then(|(_, value)| value.as_str())
    };
    Some(AssetProfile::read(member("type")?, member("name"), member("uri")))
}

/// A task: its id, or its id with the index of a copy.
fn read_task(value: &Value) -> Option<(TaskId, MapIndex)> {
    if let Some(id) = value.as_str() {
        return Some((id.into(), MapIndex::UNMAPPED));
    }
    let pair = value.as_array()?;
    let index = i32::try_from(pair.get(1)?.as_i64()?).ok()?;
    Some((pair.first()?.as_str()?.into(), MapIndex(index)))
}
