//! What a test's thread sends, line by line as StatsD gets it, with tags in Datadog's dialect and without a prefix.

use std::cell::RefCell;

use super::names::Names;
use super::statsd::Settings;
use super::{Tags, Value};
use crate::config::Config;

thread_local! {
    static SENT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What is sent while the test goes on from here.
#[derive(Debug)]
pub(crate) struct Sent(());

impl Sent {
    /// Begins to listen.
    pub(crate) fn listen() -> Self {
        SENT.set(Some(Vec::new()));
        Self(())
    }

    /// The lines so far of metrics whose name begins so; forgets all.
    pub(crate) fn take(&self, name: &str) -> Vec<String> {
        let all = SENT.replace(Some(Vec::new())).unwrap_or_default();
        all.into_iter().filter(|line| line.starts_with(name)).collect()
    }

    /// [`Sent::take`], without values: those of durations differ each time.
    pub(crate) fn take_names(&self, name: &str) -> Vec<String> {
        let without = |line: &String| match (line.split_once(':'), line.split_once('|')) {
            (Some((name, _)), Some((_, rest))) => format!("{name}|{rest}"),
            _ => line.clone(),
        };
        self.take(name).iter().map(without).collect()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        SENT.set(None);
    }
}

pub(super) fn is_on() -> bool {
    SENT.with_borrow(Option::is_some)
}

pub(super) fn take(name: &str, value: Value, tags: &Tags<'_>) {
    if !is_on() {
        return;
    }
    let options = [("statsd_datadog_enabled", "True"), ("statsd_prefix", ""), ("statsd_disabled_tags", "")];
    let pairs: Vec<_> = options.iter().map(|(name, value)| ("metrics", *name, *value)).collect();
    let config = Config::from_pairs(&pairs).unwrap();
    let settings = Settings::new(&config);
    let lines = Names::new(&config).of(name, tags);
    let lines = lines.iter().map(|(name, tags)| settings.line(name, value, tags));
    SENT.with_borrow_mut(|sent| sent.get_or_insert_default().extend(lines));
}
