//! The run that a firing makes.
//!
//! To Airflow it is a manual run by way of the REST API, the one kind that any Dag allows and that may carry a conf. The UI
//! shows the trigger's name as the user who asked for it, and a note that names the events. Its id begins with `event__`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Map, Value};
use slipstream_core::event::{Action, Event, Field, NewRun as RunAction};
use slipstream_core::ids::RunId;
use slipstream_core::state::{RunState, RunType};

use super::catalog::Armed;
use super::told::told;
use crate::store::create_run::{NewRun, RunOptions, TriggeredBy};
use crate::store::dag_bag::CachedDag;
use crate::store::runs::run_id;
use crate::store::triggers::firings::Firing;

/// The run, and the note on it.
#[derive(Debug)]
pub(super) struct Plan {
    /// The run.
    pub(super) run: NewRun,
    /// What the UI shows as its note.
    pub(super) note: String,
}

/// Where the triggering events are in a run's conf.
pub(super) const TRIGGERING_EVENTS: &str = "triggering_events";

/// The run that a firing makes, or why it cannot.
pub(super) fn plan(
    firing: &Firing,
    armed: &Armed,
    events: &[&Event],
    dag: &CachedDag,
    options: &RunOptions,
    now: DateTime<Utc>,
) -> Result<Plan, String> {
    let Action::NewRun(action) = &armed.spec.action else {
        return Err("the trigger makes no runs any more".to_owned());
    };
    let logical_date = match &action.logical_date {
        Some(field) => Some(date(field, &needed(field, events)?)?),
        None => None,
    };
    let data_interval = match logical_date {
        Some(date) => {
            let interval =
                dag.timetable.infer_manual_data_interval(date).map_err(|error| error.to_string())?;
            Some((interval.start, interval.end))
        }
        None => None,
    };
    let partition_key = match &action.partition_key {
        Some(field) => Some(text(field, &needed(field, events)?)?),
        None => None,
    };
    let run = NewRun {
        dag_id: firing.dag_id.clone(),
        run_id: name(firing, options, now),
        run_type: RunType::Manual,
        triggered_by: TriggeredBy::RestApi,
        triggering_user_name: Some(format!("trigger {}", armed.row.name)),
        logical_date,
        data_interval,
        run_after: now,
        state: RunState::Queued,
        conf: Some(conf(action, events)?),
        creating_job_id: None,
        backfill_id: None,
        partition_key,
        partition_date: None,
    };
    Ok(Plan { run, note: note(armed, events) })
}

/// The lane of a firing: the trigger's, or one per value of a field.
pub(super) fn lane(armed: &Armed, action: &RunAction, events: &[&Event]) -> String {
    let value =
        action.lane.as_ref().and_then(|field| events.iter().rev().find_map(|event| field.text(event)));
    match value {
        Some(value) => format!("{}/{value}", armed.row.id),
        None => armed.row.id.to_string(),
    }
}

/// `event__<moment>__<position>.<trigger>`; one of Airflow's names where the deployment allows no others.
fn name(firing: &Firing, options: &RunOptions, now: DateTime<Utc>) -> RunId {
    let own = format!("event__{}__{}.{}", run_id::isoformat(now), firing.position, firing.key.trigger);
    match options.run_ids.check(RunType::Manual, &own) {
        Ok(()) => own.into(),
        Err(_) => run_id::generate(RunType::Manual, None, now).into(),
    }
}

/// The value of a field in the latest of the events that has it.
fn needed(field: &Field, events: &[&Event]) -> Result<Value, String> {
    let value = events.iter().rev().find_map(|event| field.value(event).map(std::borrow::Cow::into_owned));
    value.ok_or_else(|| format!("none of the triggering events has `{field}`"))
}

fn text(field: &Field, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(format!("`{field}` is {other}, which is no text")),
    }
}

/// An RFC 3339 time, a time without zone (UTC), a date, or seconds since 1970.
fn date(field: &Field, value: &Value) -> Result<DateTime<Utc>, String> {
    let parsed = match value {
        Value::Number(number) => number
            .as_f64()
            .and_then(|seconds| DateTime::from_timestamp_micros((seconds * 1e6).round() as i64)),
        Value::String(text) => moment(text),
        _ => None,
    };
    parsed.ok_or_else(|| format!("`{field}` is {value}, which is no time, as in 2026-01-02T03:04:05Z"))
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    if let Ok(time) = text.parse::<NaiveDateTime>() {
        return Some(time.and_utc());
    }
    let date = text.parse::<NaiveDate>().ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

fn conf(action: &RunAction, events: &[&Event]) -> Result<Value, String> {
    let mut conf = match &action.conf {
        None => Map::new(),
        Some(field) => match needed(field, events)? {
            Value::Object(map) => map,
            other => return Err(format!("`{field}` is {other}, and a conf must be an object")),
        },
    };
    let events = events.iter().map(|event| told(event)).collect();
    conf.insert(TRIGGERING_EVENTS.to_owned(), Value::Array(events));
    Ok(Value::Object(conf))
}

fn note(armed: &Armed, events: &[&Event]) -> String {
    const NAMED: usize = 5;
    let mut lines = vec![format!("Made by trigger {}", armed.row.name)];
    for event in events.iter().rev().take(NAMED) {
        let Event { position, key, event_type, source, id, .. } = event;
        lines.push(format!("event {position}: {key} ({event_type}), {id} from {source}"));
    }
    if events.len() > NAMED {
        lines.push(format!("and {} earlier ones", events.len() - NAMED));
    }
    lines.join("\n")
}
