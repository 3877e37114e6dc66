//! NATS JetStream: an ordered consumer, which the server forgets when we are gone. Where to read on is told to it anew each
//! time.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use async_nats::jetstream::{self};
use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt};
use slipstream_core::event::source::Range;

use super::message::Message;
use super::nats_config::{Login, NatsConfig};
use super::reader::{Look, MOST_BYTES, MOST_MESSAGES, Offsets, ReadError};

/// How long a question to the server may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Most messages that are on their way at once: each may be as large as the server allows (1 MiB by default).
const AHEAD: i64 = 64;

/// A connection with a server.
pub(super) struct NatsReader {
    config: NatsConfig,
    stream: Stream,
    /// When the stream was made: one that is made anew begins to count anew.
    created: DateTime<Utc>,
    messages: Option<pull::Ordered>,
    /// The consumer that the last message came from, and its number there.
    consumer: String,
    delivered: u64,
    /// Its number in the stream; the next ones are after it.
    last: i64,
}

impl std::fmt::Debug for NatsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsReader").field("stream", &self.config.stream).finish_non_exhaustive()
    }
}

fn broker(error: impl std::fmt::Display) -> ReadError {
    ReadError::Broker(error.to_string())
}

/// Everything is asked with a limit on time.
async fn limited<T, E: std::fmt::Display>(
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, ReadError> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ReadError::Broker(format!("{what}: {error}"))),
        Err(_) => Err(ReadError::Broker(format!("{what}: no answer within {} s", LIMIT.as_secs()))),
    }
}

async fn options(config: &NatsConfig) -> Result<ConnectOptions, ReadError> {
    let mut options = match &config.login {
        Login::None => ConnectOptions::new(),
        Login::Token(token) => ConnectOptions::with_token(token.clone()),
        Login::User { user, password } => {
            ConnectOptions::with_user_and_password(user.clone(), password.clone())
        }
        Login::Nkey(seed) => ConnectOptions::with_nkey(seed.clone()),
        Login::Credentials(path) => ConnectOptions::with_credentials_file(path)
            .await
            .map_err(|error| ReadError::Broker(format!("credentials {}: {error}", path.display())))?,
    };
    options = options
        .name(&config.consumer)
        .connection_timeout(LIMIT)
        .request_timeout(Some(LIMIT))
        .require_tls(config.tls.required)
        .event_callback(async |event| tracing::debug!(%event, "NATS client"));
    if let Some(path) = &config.tls.authorities {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((cert, key)) = &config.tls.client {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}

impl NatsReader {
    /// Connects, and finds the stream.
    pub(super) async fn connect(config: &NatsConfig) -> Result<Self, ReadError> {
        let connecting = options(config).await?.connect(&config.servers[..]);
        let client = limited("connecting", connecting).await?;
        let context = jetstream::new(client);
        let what = format!("stream `{}`", config.stream);
        let stream = limited(&what, context.get_stream(&config.stream)).await?;
        if stream.cached_info().config.retention != RetentionPolicy::Limits {
            return Err(ReadError::Broker(format!(
                "{what} does not keep its messages until a limit is reached (its retention is not `limits`), so that they \
                 cannot be read from a stored place: let a stream with retention `limits` take them as its source"
            )));
        }
        let created = stream.cached_info().created;
        let (config, consumer) = (config.clone(), String::new());
        Ok(Self { config, stream, created, messages: None, consumer, delivered: 0, last: 0 })
    }

    /// What the stream holds.
    pub(super) async fn ranges(&mut self) -> Result<BTreeMap<String, Range>, ReadError> {
        let info = limited("the stream's state", self.stream.get_info()).await?;
        if info.created != self.created {
            // It begins to count anew.
            self.created = info.created;
            self.messages = None;
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let end = number(info.state.last_sequence).saturating_add(1);
        // An empty stream says 0, or what comes next.
        let first = number(info.state.first_sequence).clamp(1, end);
        Ok(BTreeMap::from([(self.config.stream.clone(), Range { first, end })]))
    }

    /// Reads on from here.
    pub(super) async fn begin(&mut self, offsets: &Offsets) -> Result<(), ReadError> {
        let next = offsets.get(&self.config.stream).copied().unwrap_or(1);
        let start = u64::try_from(next).unwrap_or(1).max(1);
        let consumer = pull::OrderedConfig {
            // One of several schedulers that come and go, and one connection after the other.
            name: Some(format!("{}-{}", self.config.consumer, uuid::Uuid::new_v4().simple())),
            description: Some("slipstream".to_owned()),
            filter_subject: match &self.config.subjects[..] {
                [one] => one.clone(),
                // Old servers know one only.
                _ => String::new(),
            },
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            max_batch: AHEAD,
            ..pull::OrderedConfig::default()
        };
        let consumer = limited("the consumer", self.stream.create_consumer(consumer)).await?;
        self.consumer.clone_from(&consumer.cached_info().name);
        (self.delivered, self.last) = (0, next - 1);
        self.messages = Some(limited("the consumer", consumer.messages()).await?);
        Ok(())
    }

    /// The next messages.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, ReadError> {
        let messages = self.messages.as_mut().ok_or_else(|| broker("nothing is read"))?;
        let mut found = Vec::new();
        let mut bytes = 0;
        // Only the first one is waited for: nothing that was received is lost when this future is dropped.
        let mut received = messages.next().await;
        loop {
            let message = match received {
                Some(Ok(message)) => message,
                // The messages before it are good.
                _ if !found.is_empty() => break,
                Some(Err(error)) => return Err(broker(error)),
                None => return Err(broker("the server ended the consumer")),
            };
            let info = message.info().map_err(broker)?;
            let (consumer, delivered) = (info.consumer.to_owned(), info.consumer_sequence);
            let message = read(&message, &info)?;
            if message.offset <= self.last {
                // The client made a new consumer before anything had come, which begins at the beginning.
                return Err(ReadError::Changed);
            }
            (self.last, self.consumer, self.delivered) = (message.offset, consumer, delivered);
            bytes += message.size();
            found.push(message);
            if found.len() >= MOST_MESSAGES || bytes >= MOST_BYTES {
                break;
            }
            match messages.next().now_or_never() {
                Some(next) => received = next,
                None => break,
            }
        }
        Ok(found)
    }

    /// How many messages wait, and how far there are none.
    pub(super) async fn look(&mut self, offsets: &Offsets) -> Result<Look, ReadError> {
        let ranges = self.ranges().await?;
        let ahead =
            ranges.iter().any(|(name, range)| offsets.get(name).is_some_and(|next| *next > range.end));
        if ahead || self.messages.is_none() {
            return Err(ReadError::Changed);
        }
        let mut look = Look::default();
        // One that the client has replaced meanwhile is not there any more.
        let Ok(consumer) = limited("the consumer", self.stream.consumer_info(&self.consumer)).await else {
            return Ok(look);
        };
        let waiting =
            consumer.num_pending + consumer.delivered.consumer_sequence.saturating_sub(self.delivered);
        for (name, range) in ranges {
            look.lags.insert(name.clone(), i64::try_from(waiting).unwrap_or(i64::MAX));
            // The range was asked for before: whatever is in it and is ours has come.
            if waiting == 0 && range.end > self.last + 1 {
                look.empty.insert(name, range.end);
            }
        }
        Ok(look)
    }

    /// Whether a message is on a subject that is asked for.
    pub(super) fn wants(config: &NatsConfig, subject: &str) -> bool {
        config.subjects.is_empty() || config.subjects.iter().any(|pattern| matches(pattern, subject))
    }
}

fn read(message: &jetstream::Message, info: &jetstream::message::Info<'_>) -> Result<Message, ReadError> {
    let mut headers = Vec::new();
    for (name, values) in message.headers.iter().flat_map(async_nats::HeaderMap::iter) {
        headers.extend(values.iter().map(|value| (name.to_string(), value.as_str().as_bytes().to_vec())));
    }
    Ok(Message {
        partition: info.stream.to_owned(),
        offset: i64::try_from(info.stream_sequence).map_err(broker)?,
        time: Some(info.published),
        key: Some(message.subject.as_bytes().to_vec()),
        topic: message.subject.to_string(),
        headers,
        body: message.payload.to_vec(),
    })
}

/// Whether a subject is of a pattern: `*` is one token, `>` at the end one or more.
fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => (),
            (wanted, Some(token)) if wanted == token => (),
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_match_as_in_nats() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*", "a.b", true),
            ("*.b", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
