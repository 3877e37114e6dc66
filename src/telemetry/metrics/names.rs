//! Under which names a metric is sent, if at all.

use std::borrow::Cow;

use regex::RegexSet;

use super::Tags;
use super::legacy::legacy;
use crate::config::{Config, keys::metrics as keys};

/// A name, with the tags that are no part of it.
pub(super) type Named<'a> = (Cow<'a, str>, Vec<(&'a str, &'a str)>);

/// What the configuration says about names.
#[derive(Debug)]
pub(super) struct Names {
    legacy: bool,
    allow: Option<RegexSet>,
    block: Option<RegexSet>,
}

impl Names {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            legacy: config.get(&keys::LEGACY_NAMES_ON),
            allow: patterns(&config.get(&keys::METRICS_ALLOW_LIST)),
            block: patterns(&config.get(&keys::METRICS_BLOCK_LIST)),
        }
    }

    /// The same without the old names, for readers that never knew them.
    pub(super) fn new_only(config: &Config) -> Self {
        Self { legacy: false, ..Self::new(config) }
    }

    /// The names under which a metric is sent, each with the tags that are no part of it.
    pub(super) fn of<'a>(&self, name: &'a str, tags: &Tags<'a>) -> Vec<Named<'a>> {
        let old = if self.legacy { legacy(name, tags) } else { None };
        let old = old.map(|(name, rest)| (Cow::Owned(name), rest));
        let all = old.into_iter().chain([(Cow::Borrowed(name), tags.to_vec())]);
        all.filter(|(name, _)| self.allows(name)).collect()
    }

    fn allows(&self, name: &str) -> bool {
        match (&self.allow, &self.block) {
            (Some(allow), _) => allow.is_match(name),
            (None, Some(block)) => !block.is_match(name),
            (None, None) => true,
        }
    }
}

/// The items of a list with commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Patterns separated by commas, found anywhere in a name.
pub(super) fn patterns(text: &str) -> Option<RegexSet> {
    let items = list(&text.to_lowercase());
    if items.is_empty() {
        return None;
    }
    RegexSet::new(items)
        .inspect_err(|error| tracing::error!(%error, "a list of metrics has a wrong pattern and is not used"))
        .ok()
}
