//! Which triggers may be interested in an event, found by its namespace and key.

use std::collections::{BTreeMap, HashMap};

use slipstream_core::event::{Event, Interest, Pattern, Reach};

/// Values found by the interests under which they were entered.
#[derive(Clone, Debug)]
pub(super) struct KeyIndex<T> {
    /// Both names given in full.
    exact: HashMap<(String, String), Vec<(T, Reach)>>,
    /// Everything else, looked through for each event.
    open: Vec<(Interest, T)>,
}

impl<T> Default for KeyIndex<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), open: Vec::new() }
    }
}

impl<T: Copy + Ord> KeyIndex<T> {
    /// Enters a value under each of these interests.
    pub(super) fn enter(&mut self, interests: &[Interest], value: T) {
        for interest in interests {
            match (&interest.namespace, &interest.key) {
                (Pattern::Exact(namespace), Pattern::Exact(key)) => {
                    let names = (namespace.clone(), key.clone());
                    self.exact.entry(names).or_default().push((value, interest.reach));
                }
                _ => self.open.push((interest.clone(), value)),
            }
        }
    }

    /// The values that the event concerns, each once, in their order, with the widest reach under which they do.
    pub(super) fn find(&self, event: &Event) -> BTreeMap<T, Reach> {
        let mut found = BTreeMap::new();
        let mut enter = |value: T, reach: Reach| {
            let widest = found.entry(value).or_insert(reach);
            if reach == Reach::AnyRun {
                *widest = reach;
            }
        };
        let exact = self.exact.get(&(event.namespace.clone(), event.key.clone()));
        exact.into_iter().flatten().for_each(|(value, reach)| enter(*value, *reach));
        for (interest, value) in &self.open {
            if interest.namespace.accepts(&event.namespace) && interest.key.accepts(&event.key) {
                enter(*value, interest.reach);
            }
        }
        found
    }

    /// Whether the event concerns any value.
    pub(super) fn concerns(&self, event: &Event) -> bool {
        !self.find(event).is_empty()
    }

    /// The interests in a namespace.
    pub(super) fn keys_in(&self, namespace: &str) -> Vec<Pattern> {
        let exact = self.exact.keys().filter(|names| names.0 == namespace);
        let open = self.open.iter().filter(|(interest, _)| interest.namespace.accepts(namespace));
        exact
            .map(|names| Pattern::Exact(names.1.clone()))
            .chain(open.map(|(interest, _)| interest.key.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::engine::testing::event;

    fn interest(namespace: &str, key: &str, reach: Reach) -> Interest {
        Interest { namespace: namespace.into(), key: key.into(), reach }
    }

    #[test]
    fn a_value_is_found_once_however_many_of_its_interests_match() {
        let mut index = KeyIndex::default();
        index.enter(&[interest("default", "a", Reach::OwnRun), interest("*", "a*", Reach::AnyRun)], 2);
        index.enter(&[interest("default", "b", Reach::OwnRun)], 1);
        index.enter(&[interest("default", "*", Reach::OwnRun)], 0);
        let found = |key| index.find(&event(1, key)).into_iter().collect::<Vec<_>>();
        assert_eq!(found("a"), vec![(0, Reach::OwnRun), (2, Reach::AnyRun)]);
        assert_eq!(found("b"), vec![(0, Reach::OwnRun), (1, Reach::OwnRun)]);
        assert_eq!(found("c"), vec![(0, Reach::OwnRun)]);
    }
}
