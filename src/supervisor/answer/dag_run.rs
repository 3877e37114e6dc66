//! Dag runs and Dags.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use slipstream_core::state::RunState;

use super::super::value::{Fields, Message};
use super::failure::{Failure, error};
use super::{Answerer, Asker, Response, SecretsBackend, wire};
use crate::store::execution::dag_runs::{self, Paused, RunFilter};
use crate::store::execution::trigger_run::{self, TriggerOutcome, TriggerRun};
use crate::store::execution::{Refusal, clear_run};

/// How long a timetable may take.
const TIMETABLE_LIMIT: Duration = Duration::from_secs(60);

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn get_dag_run(&mut self, fields: &Fields<'_>) -> Response {
        let run =
            dag_runs::get(&self.db, &fields.text("dag_id")?.into(), &fields.text("run_id")?.into()).await?;
        Ok(Some(wire::dag_run(&run).with("type", "DagRunResult")))
    }

    pub(super) async fn get_dag_run_state(&mut self, fields: &Fields<'_>) -> Response {
        let (dag_id, run_id) = (fields.text("dag_id")?.into(), fields.text("run_id")?.into());
        let state = dag_runs::state(&self.db, &dag_id, &run_id).await?;
        Ok(Some(Message::new("DagRunStateResult").with("state", state.as_str())))
    }

    pub(super) async fn get_dr_count(&mut self, fields: &Fields<'_>) -> Response {
        let filter = RunFilter {
            dag_id: fields.text("dag_id")?.into(),
            logical_dates: fields.times("logical_dates")?,
            run_ids: fields.texts_opt("run_ids")?.unwrap_or_default(),
            states: fields.texts_opt("states")?.unwrap_or_default(),
        };
        let count = dag_runs::count(&self.db, &filter).await?;
        Ok(Some(Message::new("DRCount").with("count", count)))
    }

    pub(super) async fn get_previous_dag_run(&mut self, fields: &Fields<'_>) -> Response {
        let (dag_id, date) = (fields.text("dag_id")?.into(), fields.time("logical_date")?);
        let state = fields.text_opt("state")?.filter(|state| !state.is_empty());
        if let Some(state) = state.filter(|state| state.parse::<RunState>().is_err()) {
            return Err(Refusal::no_run_state("state", state).into());
        }
        let run = dag_runs::previous(&self.db, &dag_id, date, state).await?;
        Ok(Some(Message::new("PreviousDagRunResult").with("dag_run", run.as_ref().map(wire::dag_run))))
    }

    pub(super) async fn get_previous_successful_dag_run(&mut self) -> Response {
        let run = match self.asker {
            Asker::Task { ti_id } => dag_runs::previous_successful(&self.db, ti_id).await?,
            Asker::DagFile => None,
        };
        let message = Message::new("PrevSuccessfulDagRunResult");
        Ok(Some(match run {
            Some(run) => message
                .with("data_interval_start", run.data_interval_start)
                .with("data_interval_end", run.data_interval_end)
                .with("start_date", run.start_date)
                .with("end_date", run.end_date),
            None => message,
        }))
    }

    pub(super) async fn get_dag(&mut self, fields: &Fields<'_>) -> Response {
        let dag = dag_runs::dag(&self.db, &fields.text("dag_id")?.into()).await?;
        let message = Message::new("DagResult")
            .with("dag_id", dag.dag_id.as_str())
            .with("is_paused", dag.paused == Paused::Yes)
            .with("bundle_name", dag.bundle_name)
            .with("bundle_version", dag.bundle_version)
            .with("relative_fileloc", dag.relative_fileloc)
            .with("owners", dag.owners)
            .with("tags", dag.tags)
            .with("next_dagrun", dag.next_dagrun);
        Ok(Some(message))
    }

    /// Asks the Dag's own timetable what a run that is triggered works on.
    async fn manual_interval(&self, request: &TriggerRun) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
        let refused = |why: String| Refusal::new(400, "value_error", why);
        let python = self.options.python.as_ref().ok_or(Failure::Unhandled)?;
        let args = json!({"dag_id": request.dag_id, "run_after": request.run_after.to_rfc3339()});
        let answer = python.call("timetables.manual_interval", args, TIMETABLE_LIMIT).await;
        let answer = answer.map_err(|error| refused(error.to_string()))?;
        let moment = |name: &str| {
            let text = answer[name].as_str().unwrap_or_default();
            DateTime::parse_from_rfc3339(text).map(|moment| moment.with_timezone(&Utc))
        };
        match (moment("start"), moment("end")) {
            (Ok(start), Ok(end)) => Ok((start, end)),
            _ => {
                Err(refused(format!("the timetable of Dag '{}' gave no data interval", request.dag_id))
                    .into())
            }
        }
    }

    pub(super) async fn trigger_dag_run(&mut self, fields: &Fields<'_>) -> Response {
        let mut request = TriggerRun {
            dag_id: fields.text("dag_id")?.into(),
            run_id: fields.text("run_id")?.into(),
            conf: Some(fields.json_of_model("conf")?).filter(|conf| !conf.is_null()),
            logical_date: fields.time_opt("logical_date")?,
            run_after: fields.time_opt("run_after")?.unwrap_or_else(Utc::now),
            data_interval: None,
            note: fields.text_opt("note")?.map(str::to_owned),
            by: self.ti()?,
        };
        let runs = self.options.runs.as_ref().ok_or(Failure::Unhandled)?;
        let mut outcome = trigger_run::trigger(&self.db, &request, runs, &self.options.dags).await?;
        if outcome == TriggerOutcome::NeedsInterval {
            request.data_interval = Some(self.manual_interval(&request).await?);
            outcome = trigger_run::trigger(&self.db, &request, runs, &self.options.dags).await?;
        }
        match outcome {
            TriggerOutcome::Created | TriggerOutcome::NeedsInterval => {}
            TriggerOutcome::Exists if fields.bool_opt("reset_dag_run")? == Some(true) => {
                let rules = clear_run::Rules {
                    dags: &self.options.dags,
                    rerun: self.options.execution.rerun,
                    unixname: &runs.unixname,
                };
                clear_run::clear(&self.db, &request.dag_id, &request.run_id, rules).await?;
            }
            TriggerOutcome::Exists => return Ok(Some(error("DAGRUN_ALREADY_EXISTS", rmpv::Value::Nil))),
        }
        Ok(Some(Message::new("OKResponse").with("ok", true)))
    }
}
