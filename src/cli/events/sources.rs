//! `slipstream events sources`.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::config::Config;
use crate::events::sources::Sources;
use crate::store::Db;
use crate::store::events::sources::{self, SourceRow};

/// Show the sources of events (Kafka, NATS): who reads them, how far, and what is wrong.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Forget how far a source was read: it begins anew, as its `start` says.
    #[arg(long, value_name = "NAME")]
    forget: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// One line for each source, and one for each of its partitions.
    #[default]
    Plain,
    /// One JSON object per source.
    Json,
}

pub(super) async fn run(options: &Options, config: &Config, db: &Db) -> Result<(), Failure> {
    let configured = Sources::of(config).map_err(|error| Failure::new(Exit::Config, error))?;
    if let Some(name) = &options.forget {
        if !sources::forget(db, name).await? {
            return Err(Failure::failed(format!("no scheduler has ever read a source `{name}`")));
        }
        say!("`{name}` begins anew");
        return Ok(());
    }
    let rows = sources::list(db).await?;
    let now = Utc::now();
    for source in configured.iter().filter(|source| !rows.iter().any(|row| row.name == source.name)) {
        let never = SourceRow {
            name: source.name.clone(),
            kind: source.kind.name().to_owned(),
            holder: None,
            lease_until: None,
            taken: 0,
            unreadable: 0,
            error: None,
            error_at: None,
            partitions: Vec::new(),
        };
        print(&never, "never read", options.output);
    }
    for row in &rows {
        print(row, state(row, &configured, now), options.output);
    }
    Ok(())
}

/// What a source does, in a word or two. Another machine may have other sources in its configuration.
fn state(row: &SourceRow, configured: &Sources, now: DateTime<Utc>) -> &'static str {
    let held = row.lease_until.is_some_and(|until| until > now);
    match (held, &row.error) {
        (_, Some(_)) => "failing",
        (true, None) => "reading",
        (false, None) if configured.has(&row.name) => "not read",
        (false, None) => "not configured here",
    }
}

fn print(row: &SourceRow, state: &str, output: Output) {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    match output {
        Output::Json => {
            let partitions: Vec<Value> = row
                .partitions
                .iter()
                .map(|one| json!({"partition": one.name, "next_offset": one.next_offset, "lag": one.lag}))
                .collect();
            let source = json!({
                "name": row.name, "kind": row.kind, "state": state, "holder": row.holder, "taken": row.taken,
                "unreadable": row.unreadable, "error": row.error, "error_at": row.error_at.map(time),
                "partitions": partitions,
            });
            say!("{source}");
        }
        Output::Plain => {
            let holder = row.holder.as_deref().unwrap_or("-");
            say!(
                "{}\t{}\t{state}\t{holder}\ttaken {}\tunreadable {}",
                row.name,
                row.kind,
                row.taken,
                row.unreadable
            );
            for one in &row.partitions {
                let lag = one.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string());
                say!("  {}\tnext {}\tlag {lag}", one.name, one.next_offset);
            }
            if let (Some(error), Some(at)) = (&row.error, row.error_at) {
                say!("  {}\t{error}", time(at));
            }
        }
    }
}
