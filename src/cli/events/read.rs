//! `slipstream events list`, `tail` and `count`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use slipstream_core::event::{Event, Position};

use crate::cli::exit::Failure;
use crate::events::cloudevent;
use crate::runtime::Shutdown;
use crate::store::Db;
use crate::store::events;

use super::filter::Wanted;

/// Events that are read at once.
const BATCH: i64 = 500;
/// How often `tail` looks for new ones.
const POLL: Duration = Duration::from_millis(200);

/// List events, oldest first.
#[derive(Args, Debug)]
pub(super) struct ListOptions {
    #[command(flatten)]
    wanted: Wanted,
    /// At most this many.
    #[arg(short, long, default_value_t = 100, value_name = "N")]
    limit: i64,
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Print events as they come, until it is stopped.
#[derive(Args, Debug)]
pub(super) struct TailOptions {
    #[command(flatten)]
    wanted: Wanted,
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Count events, all and by sender.
#[derive(Args, Debug)]
pub(super) struct CountOptions {
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// One line each: position, time, namespace, key, type, data.
    #[default]
    Plain,
    /// One CloudEvent per line.
    Json,
}

pub(super) async fn list(options: &ListOptions, db: &Db) -> Result<(), Failure> {
    let filter = options.wanted.filter();
    let (mut after, mut left) = (options.wanted.after(), options.limit);
    while left > 0 {
        let page = events::read(db, after, left.min(BATCH), &filter).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        left -= i64::try_from(page.len()).unwrap_or(left);
        page.iter().for_each(|event| print(event, options.output));
    }
    Ok(())
}

pub(super) async fn tail(options: &TailOptions, db: &Db) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let filter = options.wanted.filter();
    let mut after = match options.wanted.after {
        Some(after) => Position(after),
        None => events::head(db).await?,
    };
    while !shutdown.is_asked() {
        let head = events::head(db).await?;
        if head > after {
            let page = events::read(db, after, BATCH, &filter).await?;
            page.iter().for_each(|event| print(event, options.output));
            after = page.last().map_or(head, |last| last.position);
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => (),
            () = shutdown.asked() => (),
        }
    }
    Ok(())
}

pub(super) async fn count(options: &CountOptions, db: &Db) -> Result<(), Failure> {
    let counts = events::count(db, options.wanted.after(), &options.wanted.filter()).await?;
    say!("{}", counts.total);
    for (sender, count) in counts.by_sender {
        say!("{count}\t{}", sender.as_deref().unwrap_or("(no sender)"));
    }
    Ok(())
}

fn print(event: &Event, output: Output) {
    match output {
        Output::Json => say!("{}", cloudevent::write(event)),
        Output::Plain => say!(
            "{}\t{}\t{}\t{}\t{}\t{}",
            event.position,
            event.time.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
            event.namespace,
            event.key,
            event.event_type,
            event.data
        ),
    }
}
