//! Reading a source: lease, connection, batches, until it is to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use slipstream_core::event::source::{Begin, Range, Topic, begin};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::config::{Kind, SourceConfig, Sources};
use super::mapping::UNREADABLE;
use super::message::Message;
use super::nats::NatsReader;
use super::reader::{Look, Offsets, ReadError, Reader, topic_of};
use crate::events::limits::Limits;
use crate::events::wake::LogWake;
use crate::runtime::{Asker, Shutdown};
use crate::store::events::NewEvent;
use crate::store::events::sources::{self as rows, Batch, Held, Lease, Step, Taken};
use crate::store::{Db, StoreError, execution};
use crate::telemetry::metrics;

/// What readers need.
#[derive(Clone, Debug)]
pub struct Context {
    /// The database.
    pub db: Db,
    /// Who appends tells who waits.
    pub wake: LogWake,
    /// How large an event may be.
    pub limits: Limits,
    /// How asset updates are written.
    pub options: execution::Options,
    /// This machine's name.
    pub hostname: String,
    /// How often things are done.
    pub pace: Pace,
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a source is held without a sign of life.
    pub lease: Duration,
    /// How often the lease is renewed, and asked for by those who do not have it.
    pub renew: Duration,
    /// How often the broker is asked what waits, and whether there are new partitions.
    pub look: Duration,
    /// The first pause after a failure; it doubles up to `most_pause`.
    pub pause: Duration,
    /// The longest pause.
    pub most_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(4),
            look: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            most_pause: Duration::from_secs(60),
        }
    }
}

/// Sources that are being read.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<()>,
    asker: Asker,
}

/// Reads all sources, each in a task of its own.
pub fn start(sources: &Sources, context: &Context) -> Running {
    let (asker, shutdown) = Shutdown::by_hand();
    let mut tasks = JoinSet::new();
    for config in sources.iter() {
        tasks.spawn(Source::new(config.clone(), context.clone()).run(shutdown.clone()));
    }
    Running { tasks, asker }
}

impl Running {
    /// Stops reading; other schedulers can go on at once. What is not committed is not lost: it is read again.
    pub async fn stop(mut self, limit: Duration) {
        self.asker.ask();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                "A source could not be left in time; another scheduler goes on with it a little later"
            );
        }
    }
}

/// Why a source is not read any more.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// The broker.
    #[error("{0}")]
    Read(ReadError),
    /// The database.
    #[error("{0}")]
    Store(String),
    /// A person must decide.
    #[error("{0}")]
    Stopped(String),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// One source.
pub(super) struct Source {
    config: SourceConfig,
    context: Context,
    lease: Lease,
    /// What was last said to be wrong: it is said once.
    trouble: Option<String>,
    pause: Duration,
}

impl Source {
    pub(super) fn new(config: SourceConfig, context: Context) -> Self {
        let lease = Lease {
            source: config.name.clone(),
            owner: Uuid::new_v4(),
            holder: context.hostname.clone(),
            length: TimeDelta::from_std(context.pace.lease).unwrap_or(TimeDelta::seconds(15)),
        };
        let pause = context.pace.pause;
        Self { config, context, lease, trouble: None, pause }
    }

    /// Reads until it is asked to stop.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        while !shutdown.is_asked() {
            let failure = self.hold(&shutdown).await.err();
            let pause = match failure {
                None => self.context.pace.renew,
                Some(Failure::Read(ReadError::Changed)) => Duration::from_millis(10),
                Some(failure) => self.say(&failure).await,
            };
            tokio::select! { () = sleep(pause) => (), () = shutdown.asked() => () }
        }
        let released = rows::release(&self.context.db, &self.lease);
        if !matches!(tokio::time::timeout(Duration::from_secs(2), released).await, Ok(Ok(()))) {
            tracing::debug!(source = self.config.name, "The source could not be given back");
        }
    }

    /// Says once what is wrong; returns how long to wait.
    async fn say(&mut self, failure: &Failure) -> Duration {
        let text = failure.to_string();
        let (name, kind) = (&self.config.name, self.config.kind.name());
        let pause = match failure {
            Failure::Stopped(_) => self.context.pace.most_pause,
            _ => self.pause,
        };
        if self.trouble.as_ref() == Some(&gist(&text)) {
            tracing::debug!(source = name, kind, "The source still cannot be read: {text}");
        } else {
            tracing::warn!(source = name, kind, "The source cannot be read, it is tried again: {text}");
        }
        if let Err(error) = rows::fail(&self.context.db, &self.lease, Some(&text), Utc::now()).await {
            tracing::debug!(source = name, %error, "The source's state cannot be written");
        }
        self.trouble = Some(gist(&text));
        self.pause = (self.pause * 2).min(self.context.pace.most_pause);
        pause
    }

    /// It can be read (again).
    async fn is_well(&mut self) -> Result<(), Failure> {
        let (name, kind) = (&self.config.name, self.config.kind.name());
        match self.trouble.take() {
            Some(_) => tracing::info!(source = name, kind, "The source can be read again"),
            None => tracing::info!(source = name, kind, "The source is read"),
        }
        self.pause = self.context.pace.pause;
        rows::fail(&self.context.db, &self.lease, None, Utc::now()).await?;
        Ok(())
    }

    /// Reads while the source is ours and nobody asks to stop.
    ///
    /// Waiting for the broker may be cut off at any time. Work with the database never is: a transaction that is cut off at
    /// its start could stay open in the pool.
    pub(super) async fn hold(&mut self, shutdown: &Shutdown) -> Result<(), Failure> {
        let db = &self.context.db;
        rows::register(db, &self.lease.source, self.config.kind.name(), Utc::now()).await?;
        if rows::claim(db, &self.lease, Utc::now()).await? == Held::Others {
            return Ok(());
        }
        let opened = tokio::select! {
            opened = open(&self.config.kind) => opened?,
            () = shutdown.asked() => return Ok(()),
        };
        let (mut reader, ranges) = opened;
        let Some(mut offsets) = self.place(ranges).await? else { return Ok(()) };
        tokio::select! {
            begun = reader.begin(&offsets) => begun?,
            () = shutdown.asked() => return Ok(()),
        }
        self.is_well().await?;
        self.read(&mut reader, &mut offsets, shutdown).await
    }

    /// Reads until something changes. Ends well when somebody else reads the source.
    async fn read(
        &mut self,
        reader: &mut Reader,
        offsets: &mut Offsets,
        shutdown: &Shutdown,
    ) -> Result<(), Failure> {
        let ticks = |every| {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks
        };
        let (mut looks, mut renewals) = (ticks(self.context.pace.look), ticks(self.context.pace.renew));
        loop {
            let due = tokio::select! {
                messages = reader.next() => Due::Messages(messages?),
                _ = looks.tick() => Due::Look,
                _ = renewals.tick() => Due::Renewal,
                () = shutdown.asked() => return Ok(()),
            };
            let batch = match due {
                Due::Messages(messages) => self.batch(&messages, offsets)?,
                Due::Look => {
                    let look = tokio::select! {
                        look = reader.look(offsets) => look?,
                        () = shutdown.asked() => return Ok(()),
                    };
                    self.report(&look).await?;
                    skip(&look, offsets)
                }
                Due::Renewal => match rows::renew(&self.context.db, &self.lease, Utc::now()).await? {
                    Held::Ours => continue,
                    Held::Others => return Ok(()),
                },
            };
            if batch.steps.is_empty() {
                continue;
            }
            if self.take(batch, offsets).await? == Held::Others {
                return Ok(());
            }
            reader.stored(offsets);
        }
    }

    /// Where each partition is read on, written down for those that are not read from where they were left. `None`: the
    /// source is not ours.
    async fn place(&self, ranges: BTreeMap<String, Range>) -> Result<Option<Offsets>, Failure> {
        let stored = rows::offsets(&self.context.db, &self.config.name).await?;
        let (mut offsets, mut places) = (Offsets::new(), BTreeMap::new());
        for (partition, range) in ranges {
            let left = stored.get(&partition).copied();
            let known = stored.keys().any(|name| topic_of(name) == topic_of(&partition));
            let topic = if known { Topic::Known } else { Topic::Unknown };
            let to = match begin(left, topic, range, self.config.start, self.config.on_lost) {
                Begin::Stored(at) => {
                    offsets.insert(partition, at);
                    continue;
                }
                Begin::First(at) => at,
                Begin::Moved { to } => {
                    let name = &self.config.name;
                    tracing::warn!(
                        source = name,
                        partition,
                        stored = left,
                        first = range.first,
                        end = range.end,
                        "The next message of the source is no longer there; it is read on at {to}: messages may be lost"
                    );
                    to
                }
                Begin::Stopped => {
                    return Err(Failure::Stopped(format!(
                        "{partition}: the next message, {}, is not there (there are {} to {}), and `on_lost` is \"stop\": \
                     `slipstream events sources --forget {}` lets it begin anew",
                        left.unwrap_or_default(),
                        range.first,
                        range.end - 1,
                        self.config.name,
                    )));
                }
            };
            offsets.insert(partition.clone(), to);
            places.insert(partition, (left, to));
        }
        let held = match places.is_empty() {
            true => Held::Ours,
            false => rows::place(&self.context.db, &self.lease, &places, Utc::now()).await?,
        };
        Ok((held == Held::Ours).then_some(offsets))
    }

    /// What messages become, without those that are stored already.
    fn batch(&self, messages: &[Message], offsets: &Offsets) -> Result<Batch, Failure> {
        let now = Utc::now();
        let mut batch = Batch::default();
        for message in messages {
            let Some(stored) = offsets.get(&message.partition) else { return Err(ReadError::Changed.into()) };
            let step = batch.steps.get(&message.partition);
            if message.offset < step.map_or(*stored, |step| step.to) {
                continue;
            }
            let step = Step { from: *stored, to: message.offset + 1 };
            batch.steps.insert(message.partition.clone(), step);
            if let Kind::Nats(config) = &self.config.kind
                && !NatsReader::wants(config, &message.topic)
            {
                continue;
            }
            let event = self.event(message, now);
            batch.unreadable += usize::from(event.event_type == UNREADABLE);
            batch.events.push(event);
        }
        Ok(batch)
    }

    fn event(&self, message: &Message, now: chrono::DateTime<Utc>) -> NewEvent {
        let mapping = &self.config.mapping;
        mapping.event(message, self.context.limits.event, now).unwrap_or_else(|why| {
            tracing::debug!(source = self.config.name, message = message.id(), "unreadable: {why}");
            mapping.unreadable(message, &why, now)
        })
    }

    /// Stores a batch, and moves the offsets. Others: it was not stored, somebody else reads the source.
    async fn take(&self, batch: Batch, offsets: &mut Offsets) -> Result<Held, Failure> {
        let Context { db, wake, options, .. } = &self.context;
        let taken = match rows::take(db, &self.lease, &batch, Utc::now(), options).await {
            Err(error) if !error.is_transient() && !batch.events.is_empty() => {
                self.one_by_one(&batch, &error).await?
            }
            taken => taken?,
        };
        let Taken::Stored(last) = taken else { return Ok(Held::Others) };
        offsets.extend(batch.steps.into_iter().map(|(partition, step)| (partition, step.to)));
        if let Some(last) = last {
            wake.appended(last);
            let tags = [("source", &*self.config.name)];
            metrics::count("slipstream.source.events", batch.events.len().try_into().unwrap_or(0), &tags);
        }
        Ok(Held::Ours)
    }

    /// Stores a batch that the database refuses without the events that it refuses: what they were is told instead. All in
    /// one transaction again, so that offsets and events never part.
    async fn one_by_one(&self, batch: &Batch, error: &StoreError) -> Result<Taken, Failure> {
        let Context { db, options, .. } = &self.context;
        tracing::warn!(source = self.config.name, %error, "The database refuses messages of the source");
        let mut good = Batch { steps: batch.steps.clone(), ..Batch::default() };
        for event in &batch.events {
            let refused = rows::refused(db, event, Utc::now(), options).await?;
            let event = match refused {
                None => event.clone(),
                Some(why) => self.config.mapping.refused(event, &why),
            };
            good.unreadable += usize::from(event.event_type == UNREADABLE);
            good.events.push(event);
        }
        Ok(rows::take(db, &self.lease, &good, Utc::now(), options).await?)
    }

    /// Tells people what waits.
    async fn report(&self, look: &Look) -> Result<(), Failure> {
        for (partition, lag) in &look.lags {
            let tags = [("source", &*self.config.name), ("partition", partition)];
            metrics::gauge("slipstream.source.lag", *lag, &tags);
        }
        rows::lags(&self.context.db, &self.lease, &look.lags).await?;
        Ok(())
    }
}

/// What a reader has to do.
enum Due {
    Messages(Vec<Message>),
    Look,
    Renewal,
}

/// Connects, and asks what there is.
async fn open(kind: &Kind) -> Result<(Reader, BTreeMap<String, Range>), ReadError> {
    let mut reader = Reader::connect(kind).await?;
    let ranges = reader.ranges().await?;
    Ok((reader, ranges))
}

/// What stays the same when the same thing goes wrong again: without numbers, and what stands in brackets at the end.
fn gist(text: &str) -> String {
    let text = text.split(" (").next().unwrap_or_default();
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Moves over what is not for us.
fn skip(look: &Look, offsets: &Offsets) -> Batch {
    let steps = look.empty.iter().filter_map(|(partition, end)| {
        let from = *offsets.get(partition)?;
        (from < *end).then(|| (partition.clone(), Step { from, to: *end }))
    });
    Batch { steps: steps.collect(), ..Batch::default() }
}
