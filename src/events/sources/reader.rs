//! What the two kinds of sources have in common for whoever reads them.

use std::collections::BTreeMap;

use slipstream_core::event::source::Range;

use super::config::Kind;
#[cfg(feature = "kafka")]
use super::kafka::KafkaReader;
use super::message::Message;
use super::nats::NatsReader;

/// The offset of the next message of each partition.
pub(super) type Offsets = BTreeMap<String, i64>;

/// Most messages that are taken at once.
pub(super) const MOST_MESSAGES: usize = 500;
/// About how many bytes are taken at once.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// What a look around found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// How many messages wait in each partition.
    pub(super) lags: BTreeMap<String, i64>,
    /// Up to where there is nothing to read, in partitions where most is not for us.
    pub(super) empty: Offsets,
}

/// Why a source cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// The broker does not answer, or refuses.
    #[error("{0}")]
    Broker(String),
    /// What is read is no longer what it was: look again where to read on.
    #[error("partitions or offsets have changed")]
    Changed,
}

/// A connection with a broker.
#[derive(Debug)]
pub(super) enum Reader {
    #[cfg(feature = "kafka")]
    Kafka(KafkaReader),
    Nats(Box<NatsReader>),
    #[cfg(test)]
    Fake(super::fake::FakeReader),
}

impl Reader {
    /// Connects; nothing is read yet.
    pub(super) async fn connect(kind: &Kind) -> Result<Self, ReadError> {
        match kind {
            #[cfg(feature = "kafka")]
            Kind::Kafka(config) => Ok(Self::Kafka(KafkaReader::connect(config)?)),
            #[cfg(not(feature = "kafka"))]
            Kind::Kafka(_) => Err(ReadError::Broker("this binary was built without Kafka".to_owned())),
            Kind::Nats(config) => Ok(Self::Nats(Box::new(NatsReader::connect(config).await?))),
            #[cfg(test)]
            Kind::Fake(broker) => Ok(Self::Fake(broker.connect()?)),
        }
    }

    /// What each partition holds.
    pub(super) async fn ranges(&mut self) -> Result<BTreeMap<String, Range>, ReadError> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(reader) => reader.ranges().await,
            Self::Nats(reader) => reader.ranges().await,
            #[cfg(test)]
            Self::Fake(reader) => reader.ranges(),
        }
    }

    /// Reads on from here.
    pub(super) async fn begin(&mut self, offsets: &Offsets) -> Result<(), ReadError> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(reader) => reader.begin(offsets),
            Self::Nats(reader) => reader.begin(offsets).await,
            #[cfg(test)]
            Self::Fake(reader) => reader.begin(offsets),
        }
    }

    /// The next messages, at least one, as they are ready. Can be dropped at any time and called again.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, ReadError> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(reader) => reader.next().await,
            Self::Nats(reader) => reader.next().await,
            #[cfg(test)]
            Self::Fake(reader) => reader.next().await,
        }
    }

    /// Looks around: what waits, whether partitions have changed, and whether the broker is still there. `offsets`: of what
    /// [`Reader::next`] gave, all of it stored.
    pub(super) async fn look(&mut self, offsets: &Offsets) -> Result<Look, ReadError> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(reader) => reader.look(offsets).await,
            Self::Nats(reader) => reader.look(offsets).await,
            #[cfg(test)]
            Self::Fake(reader) => reader.look(offsets),
        }
    }

    /// Tells the broker how far messages are stored, for others to see. Nothing depends on it.
    #[cfg_attr(not(feature = "kafka"), allow(unused_variables))] // only Kafka has a place for it
    pub(super) fn stored(&self, offsets: &Offsets) {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(reader) => reader.stored(offsets),
            Self::Nats(_) => (),
            #[cfg(test)]
            Self::Fake(_) => (),
        }
    }
}

/// What belongs together to a topic: the name before the last slash.
pub(super) fn topic_of(partition: &str) -> &str {
    partition.rsplit_once('/').map_or(partition, |(topic, _)| topic)
}
