//! `slipstream events send`.

use std::io::Read;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::Value;
use slipstream_core::event::{DEFAULT_NAMESPACE, Scope};

use crate::config::Config;
use crate::events::access;
use crate::events::limits::Limits;
use crate::runtime;
use crate::store::events::assets::{self, Unknown, append_and_update};
use crate::store::events::{Existed, NewEvent};
use crate::store::{Db, retry};
use crate::supervisor::answer::execution_options;

use crate::cli::exit::Failure;
use crate::cli::options::moment;

/// Send one event; prints its position in the log.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Its type, for example `model.published`.
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// What it tells: JSON, or any other text as it is; `-` reads it from the standard input.
    #[arg(value_name = "DATA")]
    data: Option<String>,
    /// Its key [default: its type].
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// Its namespace.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAMESPACE")]
    namespace: String,
    /// Its id: of several events with the same source and id only the first is stored [default: a new one].
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Where it comes from [default: /cli/USER].
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Who sends it.
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// When it happened [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    time: Option<DateTime<Utc>>,
    /// URI of an asset that it updates, so that Dags with a stock asset schedule react too.
    #[arg(long, value_name = "URI")]
    asset: Option<String>,
    /// Only the triggers on tasks of this run see it: its Dag.
    #[arg(long, value_name = "DAG_ID", requires = "run_id")]
    dag_id: Option<String>,
    /// Only the triggers on tasks of this run see it: the run.
    #[arg(long, value_name = "RUN_ID", requires = "dag_id")]
    run_id: Option<String>,
}

pub(super) async fn run(options: Options, config: &Config, db: &Db) -> Result<(), Failure> {
    let event = event(options)?;
    access::from_outside(&event).map_err(|error| Failure::usage(error.to_string()))?;
    event.check_with_size(Limits::of(config).event).map_err(|error| Failure::usage(error.to_string()))?;
    let one = [event];
    let options = execution_options(config);
    let done = retry("send an event", || async {
        let tx = db.begin().await?;
        let done = append_and_update(&tx, &one, Unknown::Refused, Utc::now(), &options).await?;
        tx.commit().await?;
        Ok(done)
    })
    .await?;
    for one in done {
        let note = if one.existed == Existed::Duplicate { " (it was there before)" } else { "" };
        say!("{}{note}", one.position);
    }
    Ok(())
}

fn event(options: Options) -> Result<NewEvent, Failure> {
    let source = options.source.unwrap_or_else(|| format!("/cli/{}", runtime::unix_user()));
    let new = NewEvent::new(&source, &options.event_type, options.time.unwrap_or_else(Utc::now));
    Ok(NewEvent {
        namespace: options.namespace,
        key: options.key.unwrap_or_else(|| new.key.clone()),
        id: options.id.unwrap_or_else(|| new.id.clone()),
        sender: options.sender,
        scope: match (options.dag_id, options.run_id) {
            (Some(dag_id), Some(run_id)) => Scope::Run { dag_id: dag_id.into(), run_id: run_id.into() },
            _ => Scope::All,
        },
        data: data(options.data)?,
        extensions: options.asset.map(|uri| (assets::URI.to_owned(), uri.into())).into_iter().collect(),
        ..new
    })
}

fn data(given: Option<String>) -> Result<Value, Failure> {
    let text = match given.as_deref() {
        None => return Ok(Value::Null),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(text) => text.to_owned(),
    };
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
