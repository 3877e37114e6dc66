//! A message, wherever it comes from.

use chrono::{DateTime, Utc};

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The partition's name: `TOPIC/NUMBER` for Kafka, the stream for NATS.
    pub(super) partition: String,
    /// Its place there.
    pub(super) offset: i64,
    /// When the broker, or who sent it, says that it was written.
    pub(super) time: Option<DateTime<Utc>>,
    /// What the key is without configuration: Kafka's key, NATS's subject.
    pub(super) key: Option<Vec<u8>>,
    /// Where it was sent: Kafka's topic, NATS's subject.
    pub(super) topic: String,
    /// Headers, in their order.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The text of a header, whatever the case of its name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// A name of the message that does not change when it is read again. A topic that was removed and made anew gives the
    /// same offsets again, at another time.
    pub(super) fn id(&self) -> String {
        match self.time {
            Some(time) => format!("{}/{}@{}", self.partition, self.offset, time.timestamp_millis()),
            None => format!("{}/{}", self.partition, self.offset),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.body.len()
            + self.key.as_ref().map_or(0, Vec::len)
            + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}
