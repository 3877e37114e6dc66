//! Kafka: librdkafka reads ahead in threads of its own, bounded by its options; what we ask it for may block and is asked in
//! a thread for that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use slipstream_core::event::source::Range;
use tokio::task::{JoinHandle, spawn_blocking};

use super::kafka_config::KafkaConfig;
use super::message::Message;
use super::reader::{Look, MOST_BYTES, MOST_MESSAGES, Offsets, ReadError};

/// How long a question to the cluster may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one look for messages waits: the process cannot end before it is over.
const POLL: Duration = Duration::from_millis(200);

/// Keeps librdkafka from writing to the standard error, and remembers what it last complained of.
#[derive(Debug, Default)]
struct Watcher {
    trouble: Mutex<Option<String>>,
}

impl ClientContext for Watcher {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ConsumerContext for Watcher {}

type Client = BaseConsumer<Watcher>;

/// What one look for messages found.
type Found = Result<Vec<Message>, ReadError>;

/// A connection with a cluster.
pub(super) struct KafkaReader {
    topics: Vec<String>,
    commits: bool,
    /// `None` only while it is dropped.
    client: Option<Arc<Client>>,
    /// The look that is going on, which outlives whoever waits for it: its messages must not be lost.
    looking: Option<JoinHandle<Found>>,
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaReader").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        // Closing may wait for threads of librdkafka.
        let (client, looking) = (self.client.take(), self.looking.take());
        std::thread::spawn(move || {
            drop(looking);
            drop(client);
        });
    }
}

fn client_config(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (option, value) in &config.options {
        client.set(option, value);
    }
    client.set_log_level(RDKafkaLogLevel::Warning);
    client
}

/// Whether librdkafka takes the options.
///
/// # Errors
/// Which one it does not take, without its value.
pub(super) fn check(config: &KafkaConfig) -> Result<(), String> {
    let error = match client_config(config).create_with_context::<_, Client>(Watcher::default()) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let mut why = match error {
        KafkaError::ClientConfig(_, why, option, _) => format!("has `{option}`: {why}"),
        other => format!("cannot be used: {other}"),
    };
    for (_, value) in config.options.iter().filter(|(_, value)| !value.is_empty()) {
        why = why.replace(&format!("\"{value}\""), "its value");
    }
    Err(why)
}

fn broker(error: impl std::fmt::Display) -> ReadError {
    ReadError::Broker(error.to_string())
}

impl KafkaReader {
    /// Makes a client; it connects by itself.
    pub(super) fn connect(config: &KafkaConfig) -> Result<Self, ReadError> {
        let client: Client = client_config(config).create_with_context(Watcher::default()).map_err(broker)?;
        Ok(Self {
            topics: config.topics.clone(),
            commits: config.group.is_some(),
            client: Some(Arc::new(client)),
            looking: None,
        })
    }

    fn client(&self) -> Result<Arc<Client>, ReadError> {
        self.client.clone().ok_or_else(|| broker("the connection is closed"))
    }

    /// What each partition holds.
    pub(super) async fn ranges(&self) -> Result<BTreeMap<String, Range>, ReadError> {
        let (client, topics) = (self.client()?, self.topics.clone());
        spawn_blocking(move || ranges(&client, &topics)).await.map_err(broker)?
    }

    /// Reads on from here.
    pub(super) fn begin(&self, offsets: &Offsets) -> Result<(), ReadError> {
        let list = assignment(offsets)?;
        self.client()?.assign(&list).map_err(broker)
    }

    /// The next messages.
    pub(super) async fn next(&mut self) -> Found {
        loop {
            let client = self.client()?;
            let looking = self.looking.get_or_insert_with(|| spawn_blocking(move || look(&client)));
            let found = looking.await;
            self.looking = None;
            let messages = found.map_err(broker)??;
            if !messages.is_empty() {
                return Ok(messages);
            }
        }
    }

    /// How many messages wait.
    pub(super) async fn look(&self, offsets: &Offsets) -> Result<Look, ReadError> {
        let ranges = self.ranges().await?;
        if !ranges.keys().eq(offsets.keys()) {
            return Err(ReadError::Changed);
        }
        let mut look = Look::default();
        for (partition, range) in ranges {
            let next = offsets[&partition];
            if next > range.end {
                return Err(ReadError::Changed);
            }
            look.lags.insert(partition, range.end - next.max(range.first));
        }
        Ok(look)
    }

    /// Commits offsets, if a group was asked for.
    pub(super) fn stored(&self, offsets: &Offsets) {
        if !self.commits {
            return;
        }
        let committed = assignment(offsets)
            .and_then(|list| self.client()?.commit(&list, CommitMode::Async).map_err(broker));
        if let Err(error) = committed {
            tracing::debug!(%error, "Offsets cannot be committed to Kafka");
        }
    }
}

/// Partitions and offsets as librdkafka wants them.
fn assignment(offsets: &Offsets) -> Result<TopicPartitionList, ReadError> {
    let mut list = TopicPartitionList::new();
    for (name, offset) in offsets {
        // Names are ours: `TOPIC/NUMBER`.
        let (topic, number) = name.rsplit_once('/').unwrap_or((name, "0"));
        let number = number.parse().unwrap_or(0);
        list.add_partition_offset(topic, number, Offset::Offset(*offset)).map_err(broker)?;
    }
    Ok(list)
}

fn ranges(client: &Client, topics: &[String]) -> Result<BTreeMap<String, Range>, ReadError> {
    let mut found = BTreeMap::new();
    for name in topics {
        let metadata = client.fetch_metadata(Some(name), LIMIT).map_err(|error| why(client, &error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let topic = topic.ok_or_else(|| broker(format!("there is no topic `{name}`")))?;
        if let Some(error) = topic.error() {
            return Err(broker(format!("topic `{name}`: {}", RDKafkaErrorCode::from(error))));
        }
        if topic.partitions().is_empty() {
            return Err(broker(format!("topic `{name}` has no partitions")));
        }
        for partition in topic.partitions() {
            let (first, end) =
                client.fetch_watermarks(name, partition.id(), LIMIT).map_err(|error| why(client, &error))?;
            found.insert(format!("{name}/{}", partition.id()), Range { first, end });
        }
    }
    Ok(found)
}

/// An error in words: a time that is up says less than what librdkafka complained of meanwhile.
fn why(client: &Client, error: &KafkaError) -> ReadError {
    let trouble = || client.context().trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Before anything is assigned, nobody looks for messages, and with them for what librdkafka has to say.
    let idle = client.assignment().is_ok_and(|list| list.count() == 0);
    for _ in 0..10 {
        if let Some(trouble) = trouble() {
            return ReadError::Broker(trouble);
        }
        if idle {
            drop(client.poll(Duration::from_millis(10)));
        }
    }
    trouble().map_or_else(|| broker(error), ReadError::Broker)
}

/// Waits for a message for a while, and takes what is ready with it.
fn look(client: &Client) -> Found {
    let mut messages = Vec::new();
    let mut bytes = 0;
    while messages.len() < MOST_MESSAGES && bytes < MOST_BYTES {
        let wait = if messages.is_empty() { POLL } else { Duration::ZERO };
        match client.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                let message = read(&message);
                bytes += message.size();
                messages.push(message);
            }
            // The messages before it are good.
            Some(Err(_)) if !messages.is_empty() => break,
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => return Err(ReadError::Changed),
            Some(Err(error)) if passing(&error) => break,
            Some(Err(error)) => return Err(broker(error)),
        }
    }
    Ok(messages)
}

/// What librdkafka tells, but gets over by itself. Whether the cluster is there is asked again and again.
fn passing(error: &KafkaError) -> bool {
    let code = match error {
        KafkaError::MessageConsumption(code) | KafkaError::Global(code) => *code,
        _ => return false,
    };
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
    )
}

fn read(message: &rdkafka::message::BorrowedMessage<'_>) -> Message {
    let headers = message.headers().map(|headers| {
        let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_owned())
        };
        headers.iter().map(pair).collect()
    });
    Message {
        partition: format!("{}/{}", message.topic(), message.partition()),
        offset: message.offset(),
        time: message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis),
        key: message.key().map(<[u8]>::to_vec),
        topic: message.topic().to_owned(),
        headers: headers.unwrap_or_default(),
        body: message.payload().unwrap_or_default().to_owned(),
    }
}
