//! A broker in memory, for tests of what does not depend on the kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use slipstream_core::event::source::Range;
use tokio::sync::Notify;

use super::message::Message;
use super::reader::{Look, Offsets, ReadError};

/// Partitions with their messages. Cheap to clone; all clones are one broker.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<String, (i64, Vec<Message>)>,
    down: bool,
}

/// A connection with it.
#[derive(Debug)]
pub(super) struct FakeReader {
    broker: Broker,
    next: Offsets,
}

impl Broker {
    pub(super) fn with(partitions: &[&str]) -> Self {
        let broker = Self::default();
        partitions.iter().for_each(|name| broker.add(name));
        broker
    }

    /// Adds a partition.
    pub(super) fn add(&self, partition: &str) {
        self.state.lock().unwrap().partitions.insert(partition.to_owned(), (0, Vec::new()));
    }

    /// Sends a message; returns its offset.
    pub(super) fn send(&self, partition: &str, body: &[u8]) -> i64 {
        self.send_with(partition, body, &[])
    }

    /// Sends a message with headers.
    pub(super) fn send_with(&self, partition: &str, body: &[u8], headers: &[(&str, &str)]) -> i64 {
        let mut state = self.state.lock().unwrap();
        let (first, messages) = state.partitions.get_mut(partition).unwrap();
        let offset = *first + i64::try_from(messages.len()).unwrap();
        messages.push(Message {
            partition: partition.to_owned(),
            offset,
            time: DateTime::from_timestamp_millis(1_767_225_600_000),
            key: Some(b"key".to_vec()),
            topic: partition.split('/').next().unwrap().to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: body.to_vec(),
        });
        self.news.notify_waiters();
        offset
    }

    /// Removes the oldest messages.
    pub(super) fn remove(&self, partition: &str, count: usize) {
        let mut state = self.state.lock().unwrap();
        let (first, messages) = state.partitions.get_mut(partition).unwrap();
        messages.drain(..count);
        *first += i64::try_from(count).unwrap();
    }

    pub(super) fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
        self.news.notify_waiters();
    }

    pub(super) fn connect(&self) -> Result<FakeReader, ReadError> {
        drop(self.state()?);
        Ok(FakeReader { broker: self.clone(), next: Offsets::new() })
    }

    fn state(&self) -> Result<std::sync::MutexGuard<'_, State>, ReadError> {
        let state = self.state.lock().unwrap();
        if state.down { Err(ReadError::Broker("the broker is down".to_owned())) } else { Ok(state) }
    }
}

impl FakeReader {
    pub(super) fn ranges(&self) -> Result<BTreeMap<String, Range>, ReadError> {
        let state = self.broker.state()?;
        let range = |(first, messages): &(i64, Vec<Message>)| Range {
            first: *first,
            end: first + i64::try_from(messages.len()).unwrap(),
        };
        Ok(state.partitions.iter().map(|(name, partition)| (name.clone(), range(partition))).collect())
    }

    pub(super) fn begin(&mut self, offsets: &Offsets) -> Result<(), ReadError> {
        self.next.clone_from(offsets);
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Result<Vec<Message>, ReadError> {
        loop {
            let news = self.broker.news.notified();
            let mut found = Vec::new();
            for (name, next) in &mut self.next {
                let state = self.broker.state()?;
                let (_, messages) = &state.partitions[name];
                // A message comes twice now and then.
                let again = *next - 1;
                let new: Vec<_> =
                    messages.iter().filter(|message| message.offset >= again).cloned().collect();
                match new.last() {
                    Some(last) if last.offset >= *next => *next = last.offset + 1,
                    _ => continue,
                }
                found.extend(new);
            }
            if !found.is_empty() {
                return Ok(found);
            }
            news.await;
        }
    }

    pub(super) fn look(&self, offsets: &Offsets) -> Result<Look, ReadError> {
        let ranges = self.ranges()?;
        if !ranges.keys().eq(offsets.keys()) {
            return Err(ReadError::Changed);
        }
        let lags = ranges.into_iter().map(|(name, range)| (name.clone(), range.end - offsets[&name]));
        Ok(Look { lags: lags.collect(), empty: Offsets::new() })
    }
}
